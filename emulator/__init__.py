"""An emulated EC2 for tests: moto answers the API, and containers follow its state.

A running instance of moto is a container with systemd and sshd at the instance's private address;
volumes are loop devices, security groups are packet filters, and registries stand for ECR and
Docker Hub. No traffic leaves this machine.
"""
