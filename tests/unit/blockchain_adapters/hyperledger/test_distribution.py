"""Two distributions that are one release: their versions stand in four places."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ET

from tests.support.house import ROOT

JAVA = ROOT / "blockchain_adapters" / "hyperledger" / "bridge-java"
POM = "{http://maven.apache.org/POM/4.0.0}"


def test_the_jar_has_the_version_of_the_product() -> None:
    product = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    jar = tomllib.loads((JAVA / "pyproject.toml").read_text())["project"]
    assert jar["version"] == product["version"]
    assert ET.parse(JAVA / "pom.xml").findtext(f"{POM}version") == product["version"]
    assert f"{jar['name']}=={product['version']}" in product["optional-dependencies"]["hyperledger"]
