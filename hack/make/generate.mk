##@ Generated files and style

.PHONY: generate
generate: ## Generate code, CRDs, roles and the data plane's API
	hack/make/generate

.PHONY: fmt
fmt: ## Format the Go code
	"$$($(TOOL) golangci-lint)" fmt

.PHONY: lint
lint: lint-lines lint-go lint-shell lint-charts ## Run the linters

.PHONY: lint-lines
lint-lines:
	hack/make/lint-lines

.PHONY: lint-go
lint-go:
	"$$($(TOOL) golangci-lint)" run --timeout 30m

.PHONY: lint-shell
lint-shell:
	hack/make/lint-shell

.PHONY: lint-charts
lint-charts:
	hack/make/lint-charts

.PHONY: verify
verify: ## Check that generated files are up to date, and lint
	hack/make/verify-commits
	hack/make/verify-generated
	$(MAKE) lint
