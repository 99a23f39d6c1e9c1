"""An EC2 to test with: moto answers the API, and containers are what it says there is.

Test code. An instance of moto's that runs is a container with systemd and sshd at the instance's
private address; volumes are loop devices, security groups are packet filters, and a registry
stands for ECR and for Docker Hub. Nothing of it leaves this machine.
"""
