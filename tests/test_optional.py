"""Optional libraries: looked up without importing them, and missed in one sentence."""

import subprocess
import sys

import pytest

from core.adapters import optional
from core.errors import Refused


def test_an_absent_library_is_one_sentence_with_the_line_that_installs_it(monkeypatch):
    absent = optional.Library("no_such_module_here", "Nothing", "nothing at all", "pip install nothing")
    monkeypatch.setitem(optional.LIBRARIES, "no_such_module_here", absent)
    assert not optional.is_installed("no_such_module_here")
    with pytest.raises(Refused) as caught:
        optional.need("no_such_module_here")
    assert str(caught.value) == "Nothing is not installed, and nothing at all needs it: pip install nothing."


@pytest.mark.extra
@pytest.mark.parametrize("module", sorted(optional.LIBRARIES))
def test_every_library_of_the_list_is_what_the_requirements_install(module):
    assert optional.is_installed(module)


@pytest.mark.extra
def test_looking_a_library_up_does_not_import_it():
    code = (
        "import sys; from core.adapters import optional; "
        "print(all(l.is_installed for l in optional.LIBRARIES.values()), [m for m in optional.LIBRARIES if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"
