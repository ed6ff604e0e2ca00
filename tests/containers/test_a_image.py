"""The image: installed off line from a wheel house, a user without rights, a root that nobody writes."""

import json

import pytest

from support.boxes.podman import LIMITS
from support.boxes.traces import namespaces, traces
from support.rogues import until

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(3600)]

PROBE = """
id -u
touch /opt/fedefm/x /etc/x 2>&1 | grep -c 'Read-only'
fedefm --version
pip check
pip list --not-required --format freeze | grep -c '^fedefm=='
"""


def once(podman, image, script):
    rights = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none", *LIMITS]
    return podman("run", "--rm", "--pull=never", *rights, "--entrypoint", "bash", image, "-c", script).splitlines()


def test_what_the_image_is(podman, image):
    said = once(podman, image, PROBE)
    assert said == ["10001", "2", "fedefm 0.1.0", "No broken requirements found.", "1"]
    assert podman("image", "inspect", "--format", "{{.User}}", image).strip() == "10001:10001"


def test_an_example_works_in_it_without_a_network(podman, image):
    script = """
    set -e
    fedefm data synth --out /tmp/data --frames 6 --size 64 >/dev/null
    for hospital in /tmp/data/*; do fedefm data check $hospital >/dev/null; done
    ls /tmp/data | wc -l
    """
    assert int(once(podman, image, script)[-1]) >= 3


def test_what_a_container_leaves_behind_is_seen(podman, image):
    """The end of a run looks for it; here it is there, so that look can fail."""
    name, before = f"{podman.tag}-left", namespaces()
    podman.create_network(name)
    (network,) = json.loads(podman("network", "inspect", name))
    bridge = network["network_interface"]
    words = ["--name", name, "--network", name, "--pull=never", *LIMITS, "--entrypoint", "sleep"]
    podman("run", "--detach", *words, image, "infinity")
    found = traces(podman.folder, [bridge], before)
    assert {line.split()[0] for line in found} == {"mount", "process", "interface"}
    podman("rm", "--force", "--time", "0", name)
    podman("network", "rm", name)
    until(lambda: {line.split()[0] for line in traces(podman.folder, [bridge], before)} <= {"mount"})
