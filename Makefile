# The commands of Millrace. `make help` lists them; ARGS="..." adds arguments to the command behind one.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# As scripts/environment says it.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export LC_ALL := C.UTF-8
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Python keeps what it compiled: that halves the start of every ansible-playbook.
unexport PYTHONDONTWRITEBYTECODE

# Molecule scenarios: those that take longest first, which are what is on emulated EC2, the whole pipeline and our services, so that
# none is left to run alone at the end; then one a role.
FIRST := default aws service
SCENARIOS := $(FIRST) $(filter-out $(FIRST),$(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))

.NOTPARALLEL:
.PHONY: help up demo down verify verify-kafka verify-mongo verify-processor verify-workflow status mongo-factory-reset images lint test-unit test-provisioning molecule test test-quick aws-lab aws-lab-down bench mutants bootstrap bootstrap-dev

help: ## List the commands
	@echo 'make TARGET [ARGS="..."]: ARGS are further arguments of the command behind a target, as in make verify ARGS="-v".'
	@echo 'make ends with 0 if it is done, and with 2 if it is not, or was not understood; the last lines say why.'
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

up: ## Deploy on this machine and prove it: from bare to verified
	@scripts/up $(ARGS)

demo: ## Deploy every feed on this machine, prove it, and show it at work
	@scripts/demo $(ARGS)

down: bootstrap ## Remove everything that Millrace made (asks for a typed word)
	@ansible-playbook teardown.yml $(ARGS)

verify: bootstrap ## Compare every stored document with the log and with its source; try what must be refused
	@ansible-playbook playbooks/verify.yml $(ARGS)

verify-kafka: bootstrap ## Brokers are healthy, topics are as declared, every replica is in sync
	@ansible-playbook playbooks/verify_kafka.yml $(ARGS)

verify-mongo: bootstrap ## Members are healthy, one is primary, collections have their indexes
	@ansible-playbook playbooks/verify_mongo.yml $(ARGS)

verify-processor: bootstrap ## The processor is healthy and has caught up, the API answers
	@ansible-playbook playbooks/verify_processor.yml $(ARGS)

verify-workflow: bootstrap ## The next events of the producers arrive in the database, each of them
	@ansible-playbook playbooks/verify_workflow.yml $(ARGS)

status: bootstrap ## One table: services, health, consumer lag, dead letters, counts
	@ansible-playbook playbooks/status.yml $(ARGS)

mongo-factory-reset: bootstrap ## Make the database anew and store again what Kafka keeps (asks for a typed word)
	@ansible-playbook playbooks/reset_mongodb.yml $(ARGS)

lint: bootstrap-dev ## Linters, types, and what is generated is up to date
	@scripts/lint $(ARGS)

test-unit: bootstrap-dev ## Unit, contract and property tests: no containers
	pytest $(ARGS)

test-provisioning: bootstrap-dev ## Plan, provisioning and teardown of hosts on EC2, against moto's answers: no containers
	@pytest -p no:cacheprovider tests/aws $(ARGS)

images: bootstrap ## Pull or build the images
	@ansible-playbook playbooks/engine.yml playbooks/deploy/images.yml -e '{"docker_engine_networks": []}' $(ARGS)

molecule: bootstrap-dev images ## The pipeline and every role in real containers, fleets on emulated EC2 (SCENARIOS="kafka default" for some)
	@scripts/molecule $(SCENARIOS) $(ARGS)

test: bootstrap-dev ## Everything that CI runs
	@scripts/test $(ARGS)

test-quick: bootstrap-dev ## Of it linters, unit tests and the whole pipeline, for while you work
	@scripts/test --quick $(ARGS)

aws-lab: bootstrap-dev images ## Keep an emulated EC2 running, to deploy onto and look around; says how to use it
	@python -m emulator up $(ARGS)

aws-lab-down: bootstrap-dev ## Remove the emulated EC2 with everything in it
	@python -m emulator down $(ARGS)

bench: bootstrap-dev ## Measure the processor next to its peers
	python benchmarks/run.py $(ARGS)

mutants: bootstrap-dev ## Change the services' code a little, again and again, and name the changes that no test notices (hours)
	@uv pip install --quiet --python .venv/bin/python --target .cache/mutants/python --require-hashes -r requirements/mutants.txt
	@PYTHONPATH=$(CURDIR)/.cache/mutants/python python scripts/mutants $(ARGS)

bootstrap:
	@scripts/bootstrap

bootstrap-dev:
	@scripts/bootstrap dev
