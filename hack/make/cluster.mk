##@ Cluster

.PHONY: cluster-up
cluster-up: ## Start a one-node cluster on this machine, or what is missing of it
	@$(CLUSTER_CMD) up

.PHONY: cluster-down
cluster-down: ## Stop it and remove everything it left behind
	@$(CLUSTER_CMD) down

.PHONY: cluster-status
cluster-status: ## Say what runs
	@$(CLUSTER_CMD) status

.PHONY: install
install: image-load ## Install the operator into the cluster
	$(IN_CLUSTER) hack/make/install

.PHONY: uninstall
uninstall: ## Remove the operator from the cluster; the kinds and their objects stay
	$(IN_CLUSTER) "$$($(TOOL) helm)" uninstall mre --namespace mre-system
