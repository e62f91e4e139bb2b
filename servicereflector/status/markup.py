"""HTML as a tree of elements: what is put into it is text or an attribute, and escaped as such."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from ..kube.text import shown

#: What an element may hold; None is nothing.
Content = Element | str | None


def tag(name: str, /, *contents: Content, **attributes: str | float | bool | None) -> Element:
    """An element.

    :param contents: texts and elements, in their order. A text is shown as it is said to be by
        :func:`shown`: other clusters have a say in it.
    :param attributes: ``_`` stands for ``-``, and is dropped at the end, as of ``class_``. One that
        is None or False is left out, and True is an empty value.
    """
    element = Element(name)
    for attribute, value in attributes.items():
        if value is not None and value is not False:
            told = "" if value is True else shown(str(value))
            element.set(attribute.rstrip("_").replace("_", "-"), told)
    for content in contents:
        put(element, content)
    return element


def put(element: Element, content: Content) -> None:
    """Add one content at an element's end."""
    if isinstance(content, str):
        text = shown(content)
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text
    elif content is not None:
        element.append(content)


def raw(name: str, text: str) -> Element:
    """A script or a style, whose text HTML does not unescape: never a stranger's."""
    element = Element(name)
    element.text = text
    return element


def document(html: Element) -> bytes:
    """A page in bytes."""
    body: str = tostring(html, encoding="unicode", method="html")
    return b"<!DOCTYPE html>\n" + body.encode() + b"\n"
