# MRE Operator. `make help` says what can be made; the rules are in hack/make, a file per concern.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Machines that build from an archive, or from a checkout of another user, have no version control to stamp from.
# The same flags for builds, tests and linters let them share one build cache.
export GOFLAGS := -buildvcs=false -trimpath
export CGO_ENABLED := 0

CLUSTER_CMD := hack/cluster/cluster
TOOL := hack/tools/tool

include hack/make/build.mk
include hack/make/generate.mk
include hack/make/test.mk
include hack/make/cluster.mk

##@ Help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nCLUSTER=current uses the cluster of your kubeconfig (with IMAGE=...) instead of making one.\n'
