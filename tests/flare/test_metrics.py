from fedefm.exchange.messages import Stage, Task
from fedefm.flare.metrics import scalars


def test_a_visit_is_told_apart_by_its_visitor():
    task = Task(Stage.OVERSEAS, 1, "host", "guest")
    assert scalars(task, {"loss": 1, "val_dice": 0.5}) == {"loss/overseas/guest": 1.0, "val_dice/overseas/guest": 0.5}


def test_distillation_tells_each_teachers_similarity_and_leaves_out_what_is_missing():
    report = {"loss": 2.0, "val_dice": None, "emd_similarity": {"a": 0.5, "b": 0.25}}
    expected = {"loss/distil": 2.0, "emd_similarity/a": 0.5, "emd_similarity/b": 0.25}
    assert scalars(Task(Stage.DISTIL, 0, "x", "x"), report) == expected
