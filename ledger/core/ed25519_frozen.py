"""A part of tests/conformance/vectors/ed25519.json, in the program so that it can check its library at every start.

Each row: key, message, signature (hex), and whether FORMATS 2 takes it. A test compares them with the file.
"""

from __future__ import annotations

from typing import Final

FROZEN: Final = (
    # honest 0
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "445353457631207800",
        "2493e1ef00bb2e39ab54ca0e37ab6ae545a02c773f6cedb203ae5fb6c05df5d4521a5689a0ed01c4c4a8c9772874f8711abf869c87fba4d632d4bcf73c14dd03",
        True,
    ),
    # R with torsion of order 2, cofactored equation holds
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "00d779363dbb5a1d72a135832cac7e771aef0a3980a2ea91e8dfcf79613476c4e4bdb7fb19dac87b0ba1cb3f9470e8a21c9bee8c6d2024cd98d40ede837cab0d",
        False,
    ),
    # A with torsion of order 2, h mod 2 = 0
    (
        "1aada4d1e58526c687c1f1661b2be8a075c377c4b8653c581884603eb5e37bf6",
        "4453534576312078",
        "9d14f3c0035ebaed2c167059e4224e8cd6f37c922e5fd128ca89a388d9766ae7225bb4af0cbd991e32ffe855a9c57a0150b8240d07ff6260f842ea252f8ce600",
        True,
    ),
    # A with torsion of order 2, h mod 2 = 1
    (
        "1aada4d1e58526c687c1f1661b2be8a075c377c4b8653c581884603eb5e37bf6",
        "4453534576312078",
        "c0cc73f29624da8bee19911b2f37b6570e712e8ce2c4dd85e7417fcf061c9039f25c07540cce8e6ece35e3caa4eae4c16f2fb352a774e7247cb2011a46e7c807",
        False,
    ),
    # R with torsion of order 8, cofactored equation holds
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "db56cb567520518cb7f80a11cad85d79b5ab96d3982b064c2258c8e5acabcd8860548e3ad34e2ee683b141529432d5f2eec9d40c6274e914d80e941220a44e0d",
        False,
    ),
    # A with torsion of order 8, h mod 8 = 0
    (
        "82388247a0899a251cbefc006f5dba17d1f4e0cae1415e918460276784a74035",
        "4453534576312078",
        "3817204345d81e5c756a85eb2015f149cd2cf4aa0857ac95242e32b310e4de48a956c2daaf8cff295594980ab712330ff2dfdbcedee6787805de6b50b8691004",
        True,
    ),
    # A with torsion of order 8, h mod 8 = 4
    (
        "82388247a0899a251cbefc006f5dba17d1f4e0cae1415e918460276784a74035",
        "4453534576312078",
        "8426856f81e1984d845bab088c9302193144a31bf3d71f3a6837f781381e176233bfc456293c44188b2dea0cecbc4a21927f976f29321065434c23a6c7579a0b",
        False,
    ),
    # A and R with torsion that cancels: cofactorless equation holds
    (
        "82388247a0899a251cbefc006f5dba17d1f4e0cae1415e918460276784a74035",
        "4453534576312078",
        "19c92d9d98f48873cf872a180f4bce7c2fc787a012794bec87f3ca035cfaef6bb7ddc5ebc871a22bf63decfd369f10a94438805a697b8c36a279b597847dd001",
        True,
    ),
    # S + L
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "dfeb6da20ec26fd1f28065e92df4f47b5e4bae2ee3e85e858e743d818e54abfafc35b7b45b4f172794c5009412d8f0105b90a3f2870dce3145414471ccd13612",
        False,
    ),
    # S flipped
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "dfeb6da20ec26fd1f28065e92df4f47b5e4bae2ee3e85e858e743d818e54abfa0e62c15741ec04cfbd2809f133de11fc5a90a3f2870dce3145414471ccd13602",
        False,
    ),
    # A of small order 0
    (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "4453534576312078",
        "edc876d6831fd2105d0b4389ca2e283166469289146e2ce06faefe98b22548df0500000000000000000000000000000000000000000000000000000000000000",
        False,
    ),
    # A of small order 6
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "4453534576312078",
        "edc876d6831fd2105d0b4389ca2e283166469289146e2ce06faefe98b22548df0500000000000000000000000000000000000000000000000000000000000000",
        False,
    ),
    # R of small order 0
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "0100000000000000000000000000000000000000000000000000000000000000f1c2c1e2b6901a717337ef8f132e0f1e9a18d1f42712cddec899008d8761dd07",
        False,
    ),
    # R of small order 3
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc056bb7c58c9056e9b1600b48b1facc4917386183fddeee6d597f4397830e725002",
        False,
    ),
    # A not canonical edffff
    (
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "4453534576312078",
        "edc876d6831fd2105d0b4389ca2e283166469289146e2ce06faefe98b22548df0500000000000000000000000000000000000000000000000000000000000000",
        False,
    ),
    # R not canonical eeffff
    (
        "d3525b2e1a7ad939783e0e99e4d4175f8a3c883b479ac3a7e77b9fc14a1c8409",
        "4453534576312078",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7fdfee4d8aad63f7ebc26b6decb7b904d618881960af3f58a71f8509d6c3e0140d",
        False,
    ),
    # A not on the curve
    (
        "0200000000000000000000000000000000000000000000000000000000000000",
        "4453534576312078",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa0500000000000000000000000000000000000000000000000000000000000000",
        False,
    ),
)

# RFC 8032 section 7.1, TEST 1: seed, key, signature of the empty message.
SIGNING: Final = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
)
