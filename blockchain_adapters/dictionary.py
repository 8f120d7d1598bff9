"""The dictionary of codec 0x02: text that stands in almost every batch, so that small batches need not spell it out (ADR 0080).

FROZEN: a batch that was written with it can be read with no other. Its SHA-256 stands in the ADR and in the vectors. What is likelier
stands nearer to the end, where it costs less to point at. In what follows `~` is a hole; `{^` opens a policy's body, `!}` closes one and a
statement without predecessor, `^` ends a statement with one.
"""

from __future__ import annotations

from typing import Final

_TEXT: Final = """\
{^"json_schema":~,"kind":"~","refs":[{"attr":"~","drop":"~","kind":"~"}],"unique":[["~"],["~","~"]]!}
{^"dbms":"~","import_dbms":"~","name":"~","readings":"~","schema":{"timestamp":{"bring":"~","default":"~","type":"~"},\
"value":{"bring":"~","type":"~"}},"script":["~"],"source":{"bring":"~","default":"~"},"table":"~"!}
{^"allow":[{"kinds":["~"],"ops":["~","~","~"],"scope":{"own":~}}],"grant":["~"],"name":"~"!}
{^"members":["~"],"note":{},"permissions":["~"]!}
{^"expires":"~","key":"ed25519:~","name":"~","permissions":["~"],"type":"~"!}
{^"invite":"~","key":"~","name":"~","permissions":["~"],"type":"~"!}
{^"blob":{"sha256":"~","size":~,"type":"~"},"description":"~","tags":["~","~"],"version":"~"!}
{^"create":"~","dbms":"~","name":"~","source":"~"!}
{^"company":"~","name":"~","parent":"~","status":"~","table":[{"dbms":"~","name":"~","status":"~"}]!}
{^"broker_port":~,"city":"~","company":"~","country":"~","date":"~","hostname":"~","internal_ip":"~","ip":"~","loc":"~","local_ip":"~",\
"name":"~","owner":"~","port":~,"rest_port":~,"state":"~"!}
{^"city":"~","cluster":"~","company":"~","country":"~","hostname":"~","ip":"~","loc":"~","main":~,"member":~,"name":"~","port":~,\
"rest_port":~,"site":"~"!}
{^"city":"~","country":"~","elevation_ft":~,"loc":"~","name":"~","region":"~","tz":"~"!}
{"body":~^
{^"state":~,"time":"~"^}
active
global
refuse
keep
node
user
service
admin
permissions.node
permissions.user
New York
San Francisco
Europe/London
America/New_York
US
0.0.0.0
127.0.0.1
192.168.
10.0.0.
32148
32149
32150
true
false
permissions
assignment
invite
member
mark
table
cluster
master
query
publisher
operator
drop
patch
put
null
2027-01-01T00:00:00Z
2026-12-01T10:00:00Z
#20
#16
#32
=2
=1
=0
*
1
"""
_AFTER: Final = ',"by":"~","iat":"~","id":"~","kind":"~","ledger":"~","op":"~","prev":~,"v":~}'

DICTIONARY: Final = (
    _TEXT.replace("{^", '{"body":{')
    .replace("!}", "}" + _AFTER)
    .replace("^}", "}^")
    .replace("^", _AFTER.replace('"prev":~', '"prev":"~"'))
    .replace("~", "\x00")
    .replace("*\n", "\x01\n")
    .replace("=", "\x02")
    .replace("#", "\x03")
).encode()
