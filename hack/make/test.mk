##@ Test

# -p 2: linking many test binaries at once takes more memory than time on small machines.
GO_TEST := go test -p 2
IN_CLUSTER := eval "$$($(CLUSTER_CMD) env)" &&

# The race detector needs C.
RACE_TEST := CGO_ENABLED=1 $(GO_TEST) -race -timeout 40m

.PHONY: test
test: test-tools race-tools ## Run unit tests, and envtest with a real API server; a third with the race detector
	assets="$$($(CLUSTER_CMD) assets)" && export KUBEBUILDER_ASSETS="$$assets" && \
	  $(RACE_TEST) $$(hack/make/race-share in) && \
	  $(GO_TEST) -timeout 20m $$(hack/make/race-share out)
	cd hack/image && go test ./...
	cd hack/cluster/netpol && go test ./...

.PHONY: test-race
test-race: test-tools race-tools ## Run the tests of `make test` with the race detector, all of them
	assets="$$($(CLUSTER_CMD) assets)" && KUBEBUILDER_ASSETS="$$assets" $(RACE_TEST) ./...

# g++ brings gcc and the C library's headers.
.PHONY: race-tools
race-tools:
	hack/tools/packages g++:g++

.PHONY: test-tools
test-tools:
	hack/tools/packages ffmpeg:ffmpeg ffprobe:ffmpeg python3:python3 f2py3:python3-numpy \
	  /usr/lib/postgresql/15/bin/postgres:postgresql-15

# A cluster that is not ours pulls them from a registry, as it does the operator's image.
.PHONY: plugin-images
plugin-images: $(if $(filter current,$(CLUSTER)),,cluster-up)
	$(if $(filter current,$(CLUSTER)),,hack/image/plugins)

.PHONY: test-mre
test-mre: test-tools ## Run handlers in the style of MRE's plugins against the façade and a real data plane
	$(GO_TEST) ./test/mre -count=1 -timeout 10m -v

# What is measured, and how often, are flags of the test: MEDIA="-media.cuts 20 -media.reels 5 -media.mutations 60" for
# all of it, MEDIA="-media.kind ^slides" for one kind, MEDIA="-media.seed 7" to repeat a run.
MEDIA ?=

.PHONY: test-media
test-media: ## Ingest, cut and check media of every kind that users have (MEDIA="-media.cuts 20 -media.reels 5")
test-media: test-tools
	$(if $(MEDIA),,go test ./test/media/check -tags media -run '^TestTruth$$' -count=1 -timeout 1h)
	go test ./test/media -tags media -count=1 -timeout 4h -v -args $(MEDIA) | { grep -vE '^(=== | +--- PASS)' || true; }

FUZZTIME ?= 5m

.PHONY: fuzz-mre
fuzz-mre: test-tools ## Fuzz the façade and what becomes of plugins' answers, FUZZTIME=5m each
	go test ./test/mre -run '^$$' -fuzz FuzzFacade -fuzztime $(FUZZTIME)
	go test ./plugin-runtime/invocation -run '^$$' -fuzz FuzzOutput -fuzztime $(FUZZTIME)

.PHONY: faults
faults: ## Let every single call of an Event's life fail, one after the other (RUN=... repeats one; FAULTS_POSTGRES=1)
faults: $(if $(FAULTS_POSTGRES),test-tools)
	assets="$$($(CLUSTER_CMD) assets)" && \
	  KUBEBUILDER_ASSETS="$$assets" $(GO_TEST) ./test/faults -count=1 -timeout 24h -parallel 4 -v \
	  $(if $(RUN),-faults.run=$(RUN) -faults.trace,-faults.all) | { grep -vE '^(=== | +--- PASS)' || true; }

.PHONY: e2e
e2e: test-tools image-load plugin-images ## Run every end-to-end test on a real cluster, faults included (RUN=...)
	$(IN_CLUSTER) $(GO_TEST) ./test/e2e/... -tags e2e $(if $(RUN),-run '$(RUN)') -count=1 -timeout 60m -v

.PHONY: e2e-turn
e2e-turn: test-tools image-load plugin-images ## Run one of the other end-to-end tests, another with each commit
	@test="$$(hack/make/e2e-turn)" && echo "e2e-turn: to repeat: make e2e RUN='^$$test\$$'" && \
	  $(IN_CLUSTER) $(GO_TEST) ./test/e2e/... -tags e2e -run "^$$test\$$" -count=1 -timeout 30m -v

.PHONY: e2e-short
e2e-short: test-tools image-load plugin-images ## Run the short end-to-end tests
	$(IN_CLUSTER) $(GO_TEST) ./test/e2e/... -tags e2e -short -run 'GoldenPath|BadSources|Containers' \
	  -count=1 -timeout 30m -v

KILLS ?= 1000

.PHONY: chaos
chaos: test-tools build ## Kill KILLS=1000 processes at random; nothing may be lost, doubled or stuck
	assets="$$($(CLUSTER_CMD) assets)" && \
	  KUBEBUILDER_ASSETS="$$assets" go test ./test/chaos -tags chaos -count=1 -timeout 4h -v -kills $(KILLS)

.PHONY: bench
bench: test-tools image-load plugin-images ## Measure against the goals; writes bench/out/results.json
	$(IN_CLUSTER) go run ./hack/bench --image "$$(cat bin/image.txt)"

.PHONY: bench-smoke
bench-smoke: test-tools image-load plugin-images ## Run every benchmark at its smallest size; the figures mean nothing
	$(IN_CLUSTER) go run ./hack/bench --image "$$(cat bin/image.txt)" --smoke --out bin/bench-smoke

.PHONY: bench-scale
bench-scale: ## Measure 1,000 Events on simulated nodes; needs no cluster
	go run ./hack/bench --only 1000-events

.PHONY: demo
demo: test-tools ## From nothing to a highlight reel (VIDEO=file or URL for one of your own)
	@VIDEO="$(VIDEO)" hack/demo/demo
