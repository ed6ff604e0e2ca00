"""Who is removed, by the file that FLARE itself writes and reads."""

import pytest
from nvflare.apis.client import Client
from nvflare.private.fed.server.client_manager import ClientManager

from fedefm.errors import TrustError
from fedefm.flare.removed import FILE, removed_sites


def test_it_reads_what_flare_writes(tmp_path):
    manager = ClientManager(project_name="fedefm", min_num_clients=1, max_num_clients=9)
    manager.set_disabled_clients_file(str(tmp_path / FILE))
    manager.set_clients({"token": Client("hospital-b", "token")})
    assert removed_sites(tmp_path) == frozenset()
    manager.disable_client("hospital-b")
    manager.disable_client("hospital-c")
    assert removed_sites(tmp_path) == {"hospital-b", "hospital-c"}
    manager.enable_client("hospital-b")
    assert removed_sites(tmp_path) == {"hospital-c"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"disabled_clients": "b"}', '{"disabled_clients": [1]}'])
def test_a_list_that_cannot_be_read_does_not_mean_that_nobody_is_removed(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(TrustError, match=FILE):
        removed_sites(tmp_path)
