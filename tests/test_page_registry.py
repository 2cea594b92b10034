"""The Registry page: what is shown comes from rows, and every click is an act with one effect."""

import pytest

from core import approvals, deployment
from core.acts import Actor
from core.audit import search
from core.registry import cards, versions
from core.training import runs
from pages import charts_registry

SCIENTIST, DIRECTOR, DEVOPS = Actor("scientist"), Actor("director"), Actor("devops")


def texts(test):
    return "\n".join([m.value for m in test.markdown] + [c.value for c in test.caption])


def button(test, label):
    return next(b for b in test.button if b.label == label)


def labels(test):
    return {b.label for b in test.button}


def register_forest(home):
    row = next(c for c in runs.list_candidates(home, 1) if c.name == "random_forest")
    return versions.register(home, SCIENTIST, row.id)["version"]


@pytest.fixture
def second_live(trained_home):
    """1.1.0 went live after 1.0.0."""
    register_forest(trained_home)
    request = approvals.request_release(trained_home, SCIENTIST, "heart_disease", "1.1.0", reason="Another model")
    approvals.approve(trained_home, DIRECTOR, request["id"], reason="Worth a trial", despite_gates=True)
    deployment.deploy(trained_home, DEVOPS, "heart_disease", "1.1.0")
    return trained_home


def live(home):
    found = deployment.find_live(home, "heart_disease")
    return found.version if found else None


def test_without_a_version_the_page_says_how_to_get_one(demo_home, open_page):
    test = open_page(demo_home, "registry")
    assert "No version is registered yet" in texts(test)
    assert len(test.dataframe) == 0


def test_the_table_shows_the_metric_of_the_folds_beside_the_baseline(trained_home, open_page):
    register_forest(trained_home)
    test = open_page(trained_home, "registry")
    table = next(d.value for d in test.dataframe if "Baseline" in d.value and "Stage" in d.value).set_index("Version")
    assert list(table.index) == ["1.1.0", "1.0.0"]
    row = versions.get_version(trained_home, "heart_disease", "1.0.0").summary
    assert table.loc["1.0.0", "F1, folds"] == row["cv"]["f1"]["mean"]
    assert table.loc["1.0.0", "Baseline"] == row["baseline"]["cv"]["f1"]["mean"]
    assert table.loc["1.0.0", "Approved by"] == "director"
    assert table.loc["1.1.0", "Stage"] == "◔ Validation"


def test_a_link_opens_its_version_and_an_unknown_one_is_named(trained_home, open_page):
    register_forest(trained_home)
    assert any("Version 1\\.1\\.0" in s.value for s in open_page(trained_home, "registry", version="1.1.0").header)
    test = open_page(trained_home, "registry", version="9.9.9")
    assert test.warning[0].value == r"There is no version 9\.9\.9 in this project."
    assert any("Version 1\\.0\\.0" in s.value for s in test.header)


def test_a_scientist_requests_and_withdraws(trained_home, open_page):
    register_forest(trained_home)
    test = open_page(trained_home, "registry", "scientist", version="1.1.0")
    test.text_area[0].input("The forest reads gaps better.")
    button(test, "Request release of 1.1.0").click().run()
    request = approvals.list_requests(trained_home, project="heart_disease")[0]
    assert (request.version, request.state, request.reason) == ("1.1.0", "pending", "The forest reads gaps better.")
    assert test.success[0].value == r"Request 2 for version 1\.1\.0 waits for a DRH manager."
    button(test, "Withdraw").click().run()
    assert "Write a reason" in test.error[0].value
    test.text_area[0].input("Not yet.")
    button(test, "Withdraw").click().run()
    assert approvals.get_request(trained_home, request.id).state == "withdrawn"
    assert test.success[0].value == "Request 2: **pending** before, **withdrawn** now."


def test_devops_deploys_what_was_approved_and_sees_before_and_after(trained_home, open_page):
    register_forest(trained_home)
    request = approvals.request_release(trained_home, SCIENTIST, "heart_disease", "1.1.0", reason="Another model")
    assert "Deploy 1.1.0" not in labels(open_page(trained_home, "registry", "devops", version="1.1.0"))
    approvals.approve(trained_home, DIRECTOR, request["id"], reason="Worth a trial", despite_gates=True)
    test = open_page(trained_home, "registry", "devops")  # what waits to be deployed is open, although another is live
    test.text_area[0].input("As agreed.")
    button(test, "Deploy 1.1.0").click().run()
    assert live(trained_home) == "1.1.0"
    assert test.success[0].value == r"Live before: **1\.0\.0**. Live now: **1\.1\.0**."


def test_one_click_rolls_back_to_the_named_version_and_no_second_one_is_offered_at_once(second_live, open_page):
    test = open_page(second_live, "registry", "devops")
    button(test, "Roll back to 1.0.0").click().run()
    assert live(second_live) == "1.0.0"
    assert test.success[0].value == r"Live before: **1\.1\.0**. Live now: **1\.0\.0**."
    assert not any(key and str(key).startswith("rollback-") for key in (b.key for b in test.button))


def test_a_stale_tab_cannot_roll_back_twice(second_live, open_page):
    first, stale = open_page(second_live, "registry", "devops"), open_page(second_live, "registry", "devops")
    button(first, "Roll back to 1.0.0").click().run()
    button(stale, "Roll back to 1.0.0").click().run()
    assert live(second_live) == "1.0.0"
    assert [s.kind for s in deployment.list_deployments(second_live, "heart_disease")] == ["rollback", "deploy", "deploy"]


def test_devops_takes_a_version_out_of_service_with_a_reason(trained_home, open_page):
    test = open_page(trained_home, "registry", "devops")
    test.text_area[0].input("Answers are wrong since noon.")
    button(test, "Take 1.0.0 out of service").click().run()
    assert live(trained_home) is None
    assert "Nothing is live" in texts(test)
    assert search(trained_home, action="undeploy")[0][0]["reason"] == "Answers are wrong since noon."


@pytest.mark.parametrize("name", ["director", "developer", "admin", "scientist"])
def test_who_may_not_deploy_sees_no_button_but_who_may(second_live, open_page, name):
    test = open_page(second_live, "registry", name)
    assert not {x for x in labels(test) if x.startswith(("Roll back", "Deploy", "Take"))}
    assert r"DevOps can return to 1\.0\.0 in one click." in texts(test)


def test_a_changed_file_is_said_and_the_rest_of_the_card_stays(trained_home, open_page):
    path = versions.version_folder(trained_home, "heart_disease", "1.0.0") / "metadata.json"
    path.write_bytes(path.read_bytes() + b" ")
    test = open_page(trained_home, "registry")
    assert "is not the one that was registered" in test.error[0].value
    assert "heart\\_cleveland" in texts(test)


def test_the_card_shows_the_hashes_of_the_manifest(trained_home, open_page):
    test = open_page(trained_home, "registry")
    files = next(d.value for d in test.dataframe if "sha256" in d.value).set_index("File")
    version = versions.get_version(trained_home, "heart_disease", "1.0.0")
    assert files.loc["model.pkl", "sha256"] == version.sha256
    assert cards.registry_page(trained_home, "heart_disease").splitlines()[4].startswith("| 1.0.0 |")


def test_the_timeline_has_one_bar_for_each_time_live(second_live):
    from core.times import utc_now

    figure = charts_registry.live_timeline(
        deployment.list_deployments(second_live, "heart_disease"), now=utc_now(), zone="Europe/Paris"
    )
    assert [bar.y[0] for bar in figure.data] == ["1.0.0", "1.1.0"]
    assert [bar.text[1] if bar.text else "" for bar in figure.data] == ["", "live"]
    begin, end = figure.layout.xaxis.range  # deployed a moment ago: not an axis of split seconds
    assert end - begin >= charts_registry.LEAST_SPAN
