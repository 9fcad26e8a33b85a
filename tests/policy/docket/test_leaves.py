"""A ruling names an accepted leaf, then or later; the ruling never changes, and the label is audited and announced."""

import sqlite3
from pathlib import Path

import orjson
import pytest

from contracts.cases import CaseReason
from contracts.errors import BadInputError, CheckFailedError
from contracts.growth import Origin, TypeNode, node_id_of
from contracts.taxonomy import Category
from policy.docket.docket import Docket, RulingRefusedError
from policy.docket.principals import NotAllowedError
from policy.docket.rules import UnknownCaseError
from policy.docket.sessions import label_case, rule_on
from policy.docket.telling import lines, summary, table
from policy.growth.leaves.accepted import AcceptedLeaves, read_accepted
from policy.growth.taxonomy.folder import write_taxonomy
from policy.growth.taxonomy.top_labels import top_labels
from tests.policy.docket.cases import ANN, FRAUD, GOOD, NOW, PLATFORM, SUE, new_case, ruling

GOODS = Category.PROHIBITED_GOODS


def node(category: Category, name: str, origin: Origin = Origin.ACCEPTED) -> TypeNode:
    path = (category.group.value, category.value, name)
    return TypeNode(node_id=node_id_of(path), path=path, origin=origin)


WHEEL, LOTTERY, CUPS = node(FRAUD, "subsidy wheel"), node(FRAUD, "lottery"), node(GOODS, "fruit cups")
GROWN = node(FRAUD, "free phones", Origin.GROWN)


@pytest.fixture
def leaves(tmp_path: Path) -> AcceptedLeaves:
    write_taxonomy(top_labels().adding([WHEEL, LOTTERY, CUPS, GROWN]), tmp_path / "taxonomy")
    return read_accepted(tmp_path / "taxonomy")


@pytest.fixture
def docket(tmp_path: Path) -> Docket:
    made = Docket(tmp_path / "docket", clock=lambda: NOW)
    made.enter([new_case("c-1")], now=NOW)
    return made


def announced(docket: Docket) -> list[dict[str, object]]:
    return [orjson.loads(one.value) for one in docket.outbox(at_most=100) if one.topic == "cases.rulings"]


@pytest.mark.parametrize("named", [WHEEL.node_id, "Subsidy  Wheel", WHEEL.label])
def test_a_ruling_names_an_accepted_leaf_by_id_name_or_label(
    docket: Docket, leaves: AcceptedLeaves, named: str
) -> None:
    file = rule_on(docket, "c-1", FRAUD, "", ANN, leaf=named, leaves=leaves, now=NOW.replace(minute=1))
    assert file.ruling is not None
    assert file.ruling.leaf == file.leaf == WHEEL.node_id
    (one,) = docket.decided()
    assert one.leaf == WHEEL.node_id
    assert announced(docket)[0]["leaf"] == WHEEL.node_id
    assert summary(file)["leaf"] == WHEEL.node_id
    assert f"leaf      {WHEEL.node_id} {WHEEL.label}" in list(lines(file, leaves.label_of))
    head, row = table([file], leaves.label_of)
    assert head.index("leaf") == row.index(WHEEL.label[:37])
    docket.verify_audit()


@pytest.mark.parametrize(
    ("category", "named", "rule"),
    [
        (FRAUD, "fruit cups", "leaf == 'fruit cups' lies below prohibited_goods, must lie below false_benefits"),
        (FRAUD, CUPS.node_id, "lies below prohibited_goods, must lie below false_benefits"),
        (FRAUD, "free phones", "must be an accepted leaf below false_benefits: lottery, subsidy wheel"),
        (FRAUD, "t-none", "leaf == 't-none', must be an accepted leaf below false_benefits: lottery, subsidy wheel"),
        (FRAUD, "false_benefits", "must be an accepted leaf"),
        (Category.PLAGIARISM, "x", "must be an accepted leaf below plagiarism: there are none yet"),
        (GOOD, "subsidy wheel", "positive has no leaves, they lie below the 15 violative categories"),
    ],
)
def test_any_other_leaf_is_refused_with_value_rule_and_place(
    docket: Docket, leaves: AcceptedLeaves, category: Category, named: str, rule: str
) -> None:
    with pytest.raises(BadInputError, match=rf"{rule} \({leaves.place}\)|{rule}.*{leaves.place}"):
        rule_on(docket, "c-1", category, "", ANN, leaf=named, leaves=leaves, now=NOW.replace(minute=1))
    assert docket.file("c-1").ruling is None


def test_a_leaf_named_later_leaves_the_ruling_as_it_is_and_is_announced_under_its_id(
    docket: Docket, leaves: AcceptedLeaves
) -> None:
    given = docket.rule(ruling("c-1", FRAUD), ANN).ruling
    label_case(docket, "c-1", "subsidy wheel", SUE, leaves=leaves, now=NOW.replace(minute=2))
    file = label_case(docket, "c-1", "subsidy wheel", SUE, leaves=leaves, now=NOW.replace(minute=3))
    assert (file.ruling, file.leaf) == (given, WHEEL.node_id)
    assert [one.action for one in docket.audit()] == ["open", "rule", "label"], "said again it changes nothing"
    first, second = announced(docket)
    assert "leaf" not in first
    assert second == first | {"leaf": WHEEL.node_id}
    label_case(docket, "c-1", "lottery", ANN, leaves=leaves, now=NOW.replace(minute=4))
    assert docket.decided()[0].leaf == LOTTERY.node_id
    label_case(docket, "c-1", "", ANN, leaves=leaves, now=NOW.replace(minute=5))
    assert docket.file("c-1").leaf == docket.decided()[0].leaf == ""
    docket.verify_audit()


def test_a_leaf_falls_with_its_ruling_and_stays_with_one_that_is_affirmed(
    docket: Docket, leaves: AcceptedLeaves
) -> None:
    first = docket.rule(ruling("c-1", FRAUD), ANN).ruling
    label_case(docket, "c-1", "lottery", ANN, leaves=leaves, now=NOW.replace(minute=2))
    docket.enter([new_case("c-2", reason=CaseReason.APPEAL)], now=NOW)
    affirmed = docket.rule(ruling("c-2", FRAUD, SUE, minute=3), SUE)
    assert (affirmed.leaf, affirmed.affirmed) == (LOTTERY.node_id, (first,))
    assert announced(docket)[-1]["leaf"] == LOTTERY.node_id
    overruled = docket.rule(ruling("c-1", GOODS, SUE, minute=4, overrules=affirmed.ruling), SUE)
    assert overruled.leaf == docket.decided()[0].leaf == ""
    assert "leaf" not in announced(docket)[-1]


def test_what_cannot_be_labelled_is_refused(docket: Docket, leaves: AcceptedLeaves) -> None:
    with pytest.raises(UnknownCaseError, match="case_id == 'c-9' is not on the docket"):
        docket.label({"c-9": WHEEL.node_id}, ANN, now=NOW)
    with pytest.raises(RulingRefusedError, match="nothing was ruled on video v-1"):
        docket.label({"c-1": WHEEL.node_id}, ANN, now=NOW)
    with pytest.raises(BadInputError, match="nothing was ruled on video v-1"):
        label_case(docket, "c-1", "lottery", ANN, leaves=leaves, now=NOW)
    docket.rule(ruling("c-1", GOOD), ANN)
    with pytest.raises(RulingRefusedError, match=r"leaf == 't-1' on case c-1: .* ruled positive"):
        docket.label({"c-1": "t-1"}, ANN, now=NOW)
    with pytest.raises(NotAllowedError):
        docket.label({"c-1": "t-1"}, PLATFORM, now=NOW)


def test_a_label_is_never_changed_nor_deleted_and_one_that_nobody_audited_is_found(
    docket: Docket, leaves: AcceptedLeaves
) -> None:
    docket.rule(ruling("c-1", FRAUD), ANN)
    label_case(docket, "c-1", "lottery", ANN, leaves=leaves, now=NOW.replace(minute=2))
    db = sqlite3.connect(docket.folder / "docket.db", isolation_level=None)
    for statement in ("UPDATE labels SET leaf = 't-x'", "DELETE FROM labels"):
        with pytest.raises(sqlite3.IntegrityError, match="a label is never"):
            db.execute(statement)
    forged = "SELECT 'forged', ruling_id, 't-x', '{}' FROM labels"
    db.execute(f"INSERT INTO labels (label_id, ruling_id, leaf, label) {forged}")
    db.close()
    with pytest.raises(CheckFailedError, match="label forged is in no audit entry"):
        docket.verify_audit()


def test_a_docket_from_before_there_were_leaves_is_read(docket: Docket, leaves: AcceptedLeaves) -> None:
    docket.rule(ruling("c-1", FRAUD), ANN)
    docket.close()
    with sqlite3.connect(docket.folder / "docket.db") as db:
        db.execute("DROP TABLE labels")
        db.execute("PRAGMA user_version = 2")
    db.close()
    again = Docket(docket.folder, clock=lambda: NOW)
    assert again.decided()[0].leaf == ""
    assert label_case(again, "c-1", "lottery", ANN, leaves=leaves, now=NOW.replace(minute=2)).leaf == LOTTERY.node_id
    again.verify_audit()
    again.close()
