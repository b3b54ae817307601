"""A study as tasks of a Ray cluster of two nodes, one of which is killed in the middle."""

import json
import threading
import time

import pytest
from cli_fixtures import call
from study_fixtures import DESK, write_desk

pytestmark = pytest.mark.slow

FEW = ("--set", "shapes=bert-1", "arms=default", "labels=none", "rates=1", "tokens=200000", "seeds=0,1,2")


def measured(runs):
    """What was measured of each run, without its times."""
    entries = [json.loads(path.read_text()) for path in runs.glob("*/result.json")]
    return {
        json.dumps(entry["facts"]): {name: value for name, value in entry["measured"].items() if name != "seconds"}
        for entry in entries
    }


@pytest.fixture
def two_nodes(monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


def test_study_on_a_cluster_that_loses_a_node_measures_what_it_does_without_ray(two_nodes, tmp_path, monkeypatch):
    cluster, second = two_nodes
    write_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "ray" / "runs"

    def kill_when_it_runs():
        while len(list(runs.glob("member-*/model.partial"))) < 2:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill_when_it_runs, daemon=True)
    killer.start()
    on_ray = call("study", "gap", *DESK, *FEW, "-o", "ray/gap", "--ray")
    assert on_ray.code == 0, on_ray.err
    killer.join(5)
    assert not killer.is_alive(), "the node was killed while two members were trained"
    alone = call("study", "gap", *DESK, *FEW, "-o", "alone/gap")
    assert alone.code == 0 and alone.out.splitlines()[0] in on_ray.out.splitlines()
    assert measured(runs) == measured(tmp_path / "alone" / "runs") and len(measured(runs)) == 9
