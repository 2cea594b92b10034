"""How the classes of a project read for people."""

from core.projects.definition import Definition


def class_names(definition: Definition) -> dict[str, str]:
    """Binary: ``"1 (num > 0)"`` rather than "1"; other classes are called what they are."""
    if definition.task != "binary":
        return {}
    rule = definition.positive if definition.positive[:1] in "<>=!" else f"= {definition.positive}"
    return {"1": f"1 ({definition.target} {rule})", "0": "0 (otherwise)"}
