"""Importing a file of AnyLog or EdgeLake: signed by this home's author, in bulk, and with one effect however often it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.client.importplan import Plan, Step, make_plan
from ledger.client.publishing import Manner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ledger.client.answers import Published
    from ledger.client.publishing import Publisher
    from ledger.edgelake import LedgerFile, LeftOut
    from ledger.engine.store import Store

DONE: Final = {"put": "published", "patch": "patched", "drop": "dropped"}


@dataclass(slots=True)
class Imported:
    """What became of a file. Every policy, change and deletion in it counts once; `left` says why some were left out."""

    form: str
    read: int
    published: int = 0
    patched: int = 0
    dropped: int = 0
    unchanged: int = 0
    left: list[LeftOut] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        counts = {name: getattr(self, name) for name in ("form", "read", "published", "patched", "dropped", "unchanged")}
        return {**counts, "left_out": len(self.left), "faults": [one.facts() for one in self.left]}


class Importer:
    """Takes one file over into one ledger. `refresh` brings the copy up to date; `progress` hears of statements: `(answered, all)`."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        refresh: Callable[[], Awaitable[object]],
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._refresh = refresh
        self._progress = progress
        self._answered = self._whole = 0
        self._outcome: dict[int, str] = {}
        self._refused: dict[int, LeftOut] = {}

    async def plan(self, file: LedgerFile) -> Plan:
        """Return what is to be done, by the copy as it is."""
        return await self._store.read(lambda snapshot: make_plan(snapshot.state(), file))

    async def carry_out(self, file: LedgerFile, plan: Plan, *, dry_run: bool = False) -> Imported:
        """Publish the steps of a plan; with `dry_run` judge them by the copy, each after those before it, and send nothing.

        What is refused is left out. It may have waited for what came in after it, so it is judged again by the copy, and sent again when it
        passes: a ledger that places whatever it is given is not given the same faults twice.
        """
        self._whole = len(plan.steps)
        refused = await self._publish(plan.steps, Manner(dry_run=dry_run, basis=plan.basis))
        came = len(plan.steps) - len(refused)
        while refused and came and not dry_run:
            await self._refresh()
            passing = await self._passing(refused, Manner(dry_run=True, basis=plan.basis))
            still = await self._publish(passing, Manner(basis=plan.basis)) if passing else []
            came = len(passing) - len(still)
            done = {id(step) for step in passing} - {id(step) for step in still}
            refused = [step for step in refused if id(step) not in done]
        return self._report(file, plan)

    async def _passing(self, steps: Sequence[Step], manner: Manner) -> list[Step]:
        """Return the steps that pass by the copy as it is, each after those before it."""
        judged = self._publisher.publish([step.wish for step in steps], manner, self._refresh)
        places = iter(steps)
        return [step async for result in judged for step in (next(places),) if result.error is None]

    async def _publish(self, steps: Sequence[Step], manner: Manner) -> list[Step]:
        """Publish steps; return those that were refused."""
        refused: list[Step] = []
        lost: dict[str, Step] = {}
        results = self._publisher.publish([step.wish for step in steps], manner, self._refresh)
        places = iter(steps)
        async for result in results:
            step = next(places)
            if result.error is not None:
                refused.append(step)
                self._refused[step.number] = _left(step, result, lost.setdefault(step.wish.id, step))
            else:
                self._refused.pop(step.number, None)
                self._outcome.setdefault(step.number, "patched" if step.is_change else DONE[step.wish.op])
            self._answered = min(self._answered + 1, self._whole)
            if self._progress is not None:
                self._progress(self._answered, self._whole)
        return refused

    def _report(self, file: LedgerFile, plan: Plan) -> Imported:
        left = [*plan.left, *self._refused.values()]
        gone = {one.number for one in left}
        outcome = dict.fromkeys(plan.unchanged, "unchanged") | self._outcome
        imported = Imported(file.form, file.read, left=sorted(left, key=lambda one: one.number))
        for number, what in outcome.items():
            if number not in gone:
                setattr(imported, what, getattr(imported, what) + 1)
        return imported


def _left(step: Step, result: Published, first: Step) -> LeftOut:
    """Return why a step was refused: what the ledger says, or that an earlier step of the same policy was."""
    error = result.error
    if error is None or first is not step:
        return step.left("left-out", f"what comes before it, on line {first.line}, is left out")
    other = error.context.get("other")
    return step.left(error.code, error.message, other if isinstance(other, str) else None)
