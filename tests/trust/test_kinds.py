"""What a site writes into its own kit while it runs may be there, at its place and under its name alone."""

import pytest

from fedefm.trust.kinds import KIT

OURS = [
    "fedefm-jobs.jsonl",
    "fedefm-jobs.jsonl.head",
    "fedefm-outbox.jsonl",
    "fedefm-outbox.jsonl.000012",
    "fedefm-outbox.jsonl.head",
    "fedefm-revoked.json",
    "fedefm-peers.json",
]


@pytest.mark.parametrize("name", OURS)
def test_a_sites_own_records_need_no_signature(name):
    assert KIT.leaves_out_file(name)
    assert not KIT.leaves_out_file(f"local/{name}") and not KIT.leaves_out_file(f"{name}.py")


@pytest.mark.parametrize(
    "name", ["fedefm-outbox.jsonl.1", "fedefm-other.jsonl", "xfedefm-jobs.jsonl", "fedefm_jobs.jsonl"]
)
def test_a_name_that_is_only_like_one_of_them_does(name):
    assert not KIT.leaves_out_file(name)


def test_jobs_that_wait_lie_in_one_folder_of_the_kit():
    assert KIT.leaves_out_folder("fedefm-waiting") and not KIT.leaves_out_folder("local/fedefm-waiting")
