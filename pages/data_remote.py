"""The Data page's part about DVC: which versions lie in the remote, pushing one, pulling one."""

from __future__ import annotations

import streamlit as st

from core.adapters import dvc_remote
from core.adapters.optional import LIBRARIES
from core.datasets import remote
from core.datasets.remote import Pushed
from core.datasets.versions import Dataset
from core.projects.definition import Definition
from core.settings import Settings
from pages import parts, sending
from pages.findings import PROVENANCES
from pages.session import PageContext


def show_remote(context: PageContext, definition: Definition, dataset: Dataset | None) -> None:
    """What is in the remote, the .dvc file of ``dataset``, and the ways there and back."""
    address = Settings.from_environment().dvc_remote.get_secret_value()
    shown = dvc_remote.show_remote(address)
    pushes = remote.list_pushes(context.home, definition.name)
    with st.expander("DVC remote", icon=":material/cloud_sync:"):
        _show_pushes(pushes)
        if not address:
            st.markdown(
                "No DVC remote is set. `GREENLIGHT_DVC_REMOTE` names one: a folder, or an address such as `s3://bucket/path`. "
                "Versions that are pushed there can be taken with `dvc pull`."
            )
            return
        if not dvc_remote.can_run():
            library = LIBRARIES[dvc_remote.LIBRARY]
            st.info(f"{library.title} is not installed, so nothing can be pushed or pulled:", icon=":material/extension_off:")
            st.code(library.install, language="sh")
            return
        st.markdown(f"The remote is **{parts.plain(shown)}**.")
        if dataset is not None and context.account.may("export_dataset"):
            _show_push(context, dataset, address, [p for p in pushes if p.dataset_id == dataset.id and p.remote == shown])
        if context.account.may("upload_data"):
            _show_pull(context, definition, address)


def _show_pushes(pushes: list[Pushed]) -> None:
    if not pushes:
        return
    rows = [
        {"Version": p.version, "File": p.path, "md5": p.md5, "Bytes": p.size, "Remote": p.remote, "Pushed": parts.local_time(p.at), "By": p.by}
        for p in pushes
    ]
    st.dataframe(
        rows, hide_index=True, key="remote-pushes", height=min(38 + 35 * len(rows), 250), alt="Versions in the remote, newest first",
        column_config={"Pushed": parts.time_column()},
    )  # fmt: skip


def _show_push(context: PageContext, dataset: Dataset, address: str, done: list[Pushed]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        label = f"Push version {dataset.version}" + (" again" if done else "")
        clicked = st.button(label, icon=":material/cloud_upload:", key="remote-push", help="Every push is written into the audit.")
        if done:
            parts.download(
                f"{done[0].path}.dvc", remote.write_dvc_file(dataset.project, done[0]), f"{done[0].path}.dvc", "text/yaml",
                key="remote-dvc",
            )  # fmt: skip
    sending.show_sent("push")
    if not clicked:
        return
    with parts.guarded(), st.spinner(f"DVC pushes version {dataset.version}"):
        made = remote.push_dataset(
            context.home, context.actor, dataset, address, key=sending.request_key("push", dataset.id, address)
        )
        before = "it was there already" if not made["fresh"] else "it was not there"
        sending.note_sent("push", f"Version {dataset.version}: before, {before}. Now: {parts.plain(made['remote'])} holds it (md5 {made['md5']}).")
        st.rerun()


def _show_pull(context: PageContext, definition: Definition, address: str) -> None:
    with st.form("remote-pull", border=False, clear_on_submit=True):
        file = st.file_uploader("Bring what a .dvc file names", type=["dvc"], key="remote-file")
        provenance = st.selectbox(
            "Who made its labels?", list(PROVENANCES), format_func=PROVENANCES.__getitem__, key="remote-provenance"
        )
        sent = st.form_submit_button("Pull")
    sending.show_sent("pull")
    if not sent:
        return
    if file is None:
        st.error("Choose a .dvc file first.", icon=":material/error:")
        return
    with parts.guarded(), st.spinner("DVC pulls the table"):
        content = file.getvalue()
        made = remote.pull_dataset(
            context.home, context.actor, definition.name, content, address, label_provenance=provenance,
            key=sending.request_key("pull", definition.name, content, provenance),
        )  # fmt: skip
        verdict = "It can be trained on." if made["ok"] else "It has errors: read the report."
        number, rows = made["version"], f"{made['rows']:,}"
        was = f"Now: version {number} with {rows} rows." if made["fresh"] else f"These bytes are version {number} already."
        sending.note_sent("pull", f"{was} {verdict} It is the one shown above.")
        st.query_params["dataset"] = str(made["version"])
        st.rerun()
