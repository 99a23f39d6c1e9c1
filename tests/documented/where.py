"""Where each command of the documentation is run: typed at a pipeline, or by a scenario."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.documented.commands import Block, block, blocks
from tests.documented.terminal import Answer


@dataclass(frozen=True)
class Session:
    """What `tests/pipeline` types: a block of a page by its first words, and what is seen then."""

    page: str
    first: str
    expected: str
    answers: tuple[Answer, ...] = ()
    status: int = 0
    only: int | None = None
    """The number of the one command that is typed, if not all are."""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def block(self) -> Block:
        """The block itself."""
        return block(self.page, self.first)

    @property
    def commands(self) -> list[str]:
        """What of it is typed."""
        commands = self.block.commands
        return commands if self.only is None else [commands[self.only]]


CONTROL_C = "\x03"
ASKS = "type the name of the instance"
OPERATING = "docs/operating/"
OPERATOR = "docker exec millrace-operator "
SESSIONS = [
    # First: a command further down needs the warehouse that is built then.
    Session(
        OPERATING + "archive.md",
        "docker rm -f millrace-archiver millrace-archive-operator millrace-warehouse",
        r"changed=[1-9].* failed=0",
    ),
    Session(
        OPERATING + "status.md",
        "make status",
        r"(?sx) -processor\ +Up\ .* Services\s.*\ api\ [^\n]*\ yes\ .*"
        r"Producers\s.*\ ticks\ [^\n]*\ yes\ .* Consumer\ lag.*\ token\.usage\.v1\ .*"
        r"Stored\s.*\ historical_quotes\ .* Dead\ letters:\ \d .* failed=0",
        only=0,
    ),
    Session(OPERATING + "status.md", OPERATOR + "python3", r"cache_up 1"),
    Session(OPERATING + "verify.md", "make verify-kafka", r"(Verified\.[\s\S]*){4}"),
    Session(OPERATING + "verify.md", OPERATOR + "millrace verify workflow", r"stored"),
    Session(
        OPERATING + "watch.md", "docker exec -it", r"dead letters: \d", (("What flows", CONTROL_C),)
    ),
    Session(
        OPERATING + "producers.md",
        ".venv/bin/ansible-playbook playbooks/control_producer.yml",
        r"paused[\s\S]*failed=0",
    ),
    Session(OPERATING + "producers.md", "docker exec millrace-producer-metals", r"paused"),
    Session(OPERATING + "producers.md", "docker exec millrace-producer-history", r"\d+ events"),
    Session(
        OPERATING + "redis.md",
        ".venv/bin/ansible-vault view",
        r"integer\) [1-9]",
        (
            ("input password: ", "{redis_password}\r"),
            ("> ", "DBSIZE\r"),
            (r"integer\) \d+", "QUIT\r"),
        ),
    ),
    Session(
        OPERATING + "redis.md",
        "docker rm -f millrace-redis && docker volume rm millrace-redis-data\n.venv",
        r"changed=[1-9].* failed=0",
    ),
    Session(
        OPERATING + "runs.md",
        ".venv/bin/ansible-playbook site.yml --tags",
        r"changed=0 .* failed=0[\s\S]*changed=0 .* failed=0",
    ),
    Session(OPERATING + "dashboard.md", ".venv/bin/ansible-vault view", r"\w{20}"),
    Session(OPERATING + "crashes.md", "docker logs", r"."),
    Session(
        OPERATING + "secrets.md",
        ".venv/bin/ansible-vault edit",
        r"vault_api_token_operator",
        environment={"EDITOR": "grep -o vault_api_token_operator"},
        only=0,
    ),
    Session(OPERATING + "secrets.md", ".venv/bin/ansible-vault rekey", r"Rekey successful"),
    Session(
        OPERATING + "reset.md",
        "make mongo-factory-reset",
        r"Nothing was removed",
        ((ASKS, "another\r"),),
        status=2,
        only=0,
    ),
    Session(
        OPERATING + "removing.md",
        "make down",
        r"Nothing was removed",
        ((ASKS, "another\r"),),
        status=2,
        only=0,
    ),
]

ALONE = [
    (OPERATING + "status.md", "docker logs --tail 20 millrace-<service>"),
    (OPERATING + "redis.md", "docker logs --tail 20 millrace-redis"),
    (OPERATING + "archive.md", "docker exec millrace-archiver millrace archive tables"),
    (OPERATING + "warehouse.md", "docker exec millrace-warehouse millrace warehouse show"),
]
"""What is typed in a sentence or a table; any service will do."""

DEFAULT, FLEET = "molecule/default/", "molecule/aws/"
NESTED = "molecule/docker_engine/verify.yml"
SCENARIO = ("scripts/molecule", 'molecule test -s "$name"')
AWS = "ansible-playbook -i inventories/aws "
WITH_DASHBOARD = " ".join(
    f"-e millrace_{part}=true" for part in ("archive", "warehouse", "dashboard")
)
RUN_BY = {
    # On this machine.
    "make up": (DEFAULT + "converge.yml", "make up"),
    "make demo": (DEFAULT + "converge.yml", "make demo"),
    'make up ARGS="-e millrace_archive=true"': ("inventories/demo.yml", "millrace_archive: true"),
    'make up ARGS="-e millrace_archive=true -e millrace_warehouse=true"': (
        "inventories/demo.yml",
        "millrace_warehouse: true",
    ),
    "docker rm -f millrace-warehouse": (
        "tests/documented/where.py",
        "docker rm -f millrace-archiver millrace-archive-operator millrace-warehouse",
    ),
    f'make up ARGS="{WITH_DASHBOARD}"': ("inventories/demo.yml", "millrace_dashboard: true"),
    "docker rm -f millrace-archiver millrace-archive-operator": (
        "tests/documented/where.py",
        "docker rm -f millrace-archiver millrace-archive-operator millrace-warehouse",
    ),
    'make down ARGS="-e confirm=millrace"': (DEFAULT + "verify.yml", 'make down ARGS="-e confirm='),
    "make down ARGS=--check": (DEFAULT + "verify.yml", "make down ARGS=--check"),
    'make mongo-factory-reset ARGS="-e confirm=millrace"': (
        DEFAULT + "verify.yml",
        'make mongo-factory-reset ARGS="-e confirm=',
    ),
    "ansible-playbook site.yml": (DEFAULT + "verify.yml", "name: site.yml"),
    "ansible-playbook teardown.yml": (
        "molecule/backing/destroy.yml",
        "playbooks/deploy/teardown.yml",
    ),
    "make verify": (DEFAULT + "verify.yml", "make verify"),
    'make verify ARGS="-v"': (DEFAULT + "verify.yml", 'make verify ARGS="-v"'),
    'kill "$(cat /var/run/docker.pid)"': (NESTED, 'kill "$(cat /var/run/docker.pid)"'),
    "while docker version >/dev/null 2>&1; do sleep 1; done": (
        NESTED,
        "while docker version >/dev/null 2>&1; do sleep 1; done",
    ),
    "ansible-playbook playbooks/engine.yml": ("Makefile", "ansible-playbook playbooks/engine.yml"),
    "scripts/bootstrap && . scripts/environment": (
        "tests/ansible/test_documented.py",
        '"scripts/bootstrap && . scripts/environment"',
    ),
    "ansible-playbook site.yml -e certificates_new_authority=true": (
        "tests/ansible/test_second_controller.py",
        "certificates_new_authority=True",
    ),
    'ansible-playbook site.yml -e \'{"certificates_replace": ["kafka-1"]}\'': (
        "tests/pipeline/test_secrets.py",
        '{"certificates_replace": ["kafka-1"]}',
    ),
    "journalctl -u docker": ("molecule/host/verify.yml", "journalctl -u docker"),
    "docker image rm": (DEFAULT + "verify.yml", "argv: [docker, image, rm, "),
    "systemctl restart docker": ("tests/pipeline/test_engine.py", "systemctl restart docker"),
    "ansible-playbook site.yml -e millrace_instance=second -e millrace_api_port=8444": (
        DEFAULT + "verify.yml",
        "ansible-playbook site.yml -e millrace_instance=",
    ),
    "ansible-playbook teardown.yml -e millrace_instance=second -e confirm=second": (
        "molecule/service/destroy.yml",
        "ansible-playbook teardown.yml -e millrace_instance=",
    ),
    AWS + "playbooks/snowflake.yml -e snowflake_admin_user=ADMIN"
    " -e snowflake_admin_key_file=admin_key.pem -e snowflake_public_key_file=snowflake_key.pub"
    " -e snowflake_archive=s3://<instance>-<account>-<region>-archive": (
        "tests/ansible/test_snowflake.py",
        'block("docs/operating/snowflake.md", f"{AWS}playbooks/snowflake.yml")',
    ),
    # On EC2: names and folders are the emulation's.
    AWS + "playbooks/secrets.yml": ("emulator/cli.py", "playbooks/secrets.yml"),
    AWS + "playbooks/plan.yml": (FLEET + "converge.yml", "playbooks/plan.yml"),
    AWS + "site.yml": ("emulator/cli.py", "site.yml"),
    AWS + "site.yml -e replace=kafka-1": (
        "tests/aws/test_lifecycle.py",
        '"site.yml", tags="provision", replace="data"',
    ),
    AWS + "playbooks/verify.yml": ("emulator/cli.py", "playbooks/verify.yml"),
    AWS + "playbooks/verify_kafka.yml": (FLEET + "verify.yml", "playbooks/verify_"),
    AWS + "playbooks/status.yml": (FLEET + "verify.yml", "playbooks/status.yml"),
    AWS + "playbooks/stop.yml": (FLEET + "verify.yml", "playbooks/stop.yml"),
    AWS + "playbooks/start.yml": (FLEET + "verify.yml", "playbooks/start.yml"),
    AWS + "playbooks/expire.yml": ("tests/aws/test_lifecycle.py", "playbooks/expire.yml"),
    AWS + "teardown.yml": ("emulator/cli.py", "teardown.yml"),
    AWS + "teardown.yml -e delete_data=millrace": ("emulator/cli.py", "-e delete_data="),
    "aws iam create-policy --policy-name millrace-hosts"
    " --policy-document file://docs/aws-hosts-boundary.json": (
        "tests/aws/conftest.py",
        'page("aws iam create-policy "',
    ),
    "aws iam create-policy-version --set-as-default"
    " --policy-arn arn:aws:iam::<account>:policy/millrace-hosts"
    " --policy-document file://docs/aws-hosts-boundary.json": (
        "tests/aws/test_lifecycle.py",
        'page("aws iam create-policy-version"',
    ),
    "journalctl -u millrace-aws-credentials": (
        "molecule/host/verify.yml",
        "journalctl -u millrace-aws-credentials",
    ),
    "aws ec2 modify-volume --volume-id <id> --size <GB>": (
        "tests/aws/test_lifecycle.py",
        'page("aws ec2 modify-volume"',
    ),
    "ansible-vault edit inventories/aws/vault.yml": (
        FLEET + "converge.yml",
        "[ansible-vault, edit,",
    ),
    "make aws-lab": (FLEET + "create.yml", "- up"),
    # Where it is developed: CI does these.
    "make test": (".ci/run", "make test"),
    "make test-quick": ("tests/ansible/test_whole_test.py", '"--quick"'),
    "make lint test-unit": ("scripts/test", "part test-unit"),
    'make molecule SCENARIOS="kafka mongodb" JOBS=1': ("scripts/test", "part molecule "),
    "scripts/bootstrap dev": ("Makefile", "scripts/bootstrap dev"),
    "pytest services/tests/feeds/test_history.py": ("Makefile", "\tpytest $(ARGS)\n"),
    "pytest services/tests -k dead_letter": ("Makefile", "\tpytest $(ARGS)\n"),
    "pytest tests/aws": ("Makefile", "tests/aws $(ARGS)\n"),
    "molecule test -s kafka": SCENARIO,
    "molecule test -s aws": SCENARIO,
    "molecule converge -s kafka": SCENARIO,
    "molecule verify -s kafka": SCENARIO,
    "molecule destroy -s kafka": SCENARIO,
    "scripts/command-docs": ("scripts/lint", "scripts/command-docs"),
    "scripts/openapi": ("scripts/lint", "scripts/openapi"),
    "scripts/role-docs": ("scripts/lint", "scripts/role-docs"),
    "scripts/iam-policy": (FLEET + "verify.yml", "scripts/iam-policy"),
}
"""A command, the file that has it run, and the words there by which it does."""

RUN_BY_NOBODY = {
    "curl -4 https://checkip.amazonaws.com": "asks the internet",
    "ansible-playbook site.yml -e millrace_images_source=registry": "needs an image registry",
    "docker login": "needs one that knows who asks",
    "aws ec2 modify-instance-credit-specification"
    " --instance-credit-specifications InstanceId=<id>,CpuCredits=unlimited": (
        "the emulated API does not know the call"
    ),
    "sudo resize2fs /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_<id without its hyphen>": (
        "needs a disk of EC2 that has grown"
    ),
    "rm -rf .venv .cache": "would remove what the tests run in",
    "make mutants": "takes hours",
    'make mutants ARGS="--package processor.sinks"': (
        "takes minutes, and asks the package index for mutmut"
    ),
    "scripts/lock": "asks the package index for every dependency",
    "scripts/lock --upgrade": "the same",
}
"""What no test can type, and why."""


def bare(command: str) -> str:
    """A command without the folder of the programs, which a PATH may have instead."""
    return command.removeprefix(".venv/bin/")


def typed() -> set[str]:
    """Every command that a test takes from its page and types."""
    sessions = (command for session in SESSIONS for command in session.commands)
    others = (
        *(item for item in blocks(OPERATING + "api.md")),
        block(OPERATING + "watch.md", OPERATOR + "millrace watch --svg"),
        *(Block(page, text) for page, text in ALONE),
        *(item for item in blocks(OPERATING + "restore.md")),
        block(OPERATING + "dead-letters.md", OPERATOR + "millrace dead-letters list"),
        block(OPERATING + "dead-letters.md", OPERATOR + "millrace standing skip stock-data"),
        block(OPERATING + "dead-letters.md", OPERATOR + "millrace standing skip --fatal"),
    )
    return {bare(command) for command in (*sessions, *(c for one in others for c in one.commands))}
