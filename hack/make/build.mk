##@ Build

.PHONY: build
build: bin/mre ## Build the static binary, bin/mre

# Go knows best what has changed; the rule always asks it.
.PHONY: bin/mre
bin/mre:
	go build -ldflags '-s -w' -o bin/mre ./cmd/mre

.PHONY: kubectl-mre
kubectl-mre: ## Build the kubectl plugin and its completion, bin/kubectl-mre and bin/kubectl_complete-mre
	go build -ldflags '-s -w' -o bin/kubectl-mre ./cmd/kubectl-mre
	install -m 755 cmd/kubectl-mre/kubectl_complete-mre bin/kubectl_complete-mre

.PHONY: image
image: build ## Make the image of bin/mre: bin/image.tar, its name in bin/image.txt
	hack/image/build bin/mre

.PHONY: image-archive
image-archive: build ## Make bin/mre-image.tar with both layers, to load or push anywhere
	BASE=included hack/image/build bin/mre bin/mre-image.tar

# A cluster that is not ours pulls the image from a registry: nothing is built for it here.
.PHONY: image-load
image-load: $(if $(filter current,$(CLUSTER)),,image cluster-up) ## Load the image into the cluster
	hack/image/load

.PHONY: clean
clean: ## Remove what was built in this folder; the cache outside it stays
	rm -rf bin demo/out bench/out
