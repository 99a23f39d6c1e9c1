"""Named volumes, as the containers have them."""

from plugins.filter.volumes import volume_mounts


def test_a_volume_may_be_there_to_be_read_alone() -> None:
    volumes = [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b", "read_only": True}]
    labels = {"io.millrace.instance": "one"}
    assert volume_mounts(volumes, "one") == [
        {"type": "volume", "source": "a", "target": "/a", "labels": labels},
        {"type": "volume", "source": "b", "target": "/b", "labels": labels, "read_only": True},
    ]
