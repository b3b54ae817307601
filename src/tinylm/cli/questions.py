"""`tinylm study`, which asks a question, and `tinylm report`, which makes its page again.

What needs torch is imported when its command runs.
"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tinylm.cli.commands import err, out, progress
from tinylm.core.errors import InputError, InterruptedByUserError, TinyLMError
from tinylm.core.runs import names_in


def report(folder: Path, /, *, to: Path | None = None) -> None:
    """Write the page of a study again: report.html, report.md with its figures, results.csv and results.parquet.

    Args:
        folder: what `tinylm study -o` wrote, or a folder of such folders, which then gets an index.
        to: also copy report.md, its figures and results.csv into this folder, with a folder for each study.
    """
    from tinylm.study.pages import RECORD, copy_results, write_index, write_pages

    if (folder / RECORD).is_file():
        out.print(write_pages(folder).answer)
        parent, names = folder.parent, [folder.name]
    else:
        parent, names = folder, write_index(folder)
        out.print(f"{folder / 'README.md'} lists {len(names)} studies")
    for name in names:
        out.print(f"The page is {parent / name / 'report.html'}")
    if to is not None:
        copy_results(parent, names, to)
        out.print(f"The results are copied to {to}")


def study(
    name: str,
    /,
    *,
    scale: Literal["smoke", "laptop", "paper"] = "laptop",
    assignments: Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True)] = (),
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    store: Path | None = None,
    data_dir: str | None = None,
    dry_run: bool = False,
    retry: bool = False,
    ray: bool = False,
) -> None:
    """Answer a question by a grid of runs: rates, gap, size, overlap, committee, latency or shape.

    Each run is stored when it is measured and never run again: repeat the command to go on with a study that was
    stopped. Members that several studies have in common are trained once.

    Args:
        name: of the study.
        scale: how large: smoke takes seconds, laptop hours, paper is that of arXiv 2507.14871.
        assignments: settings in place of the scale's, as KEY=VALUE; several values have commas between them.
        output: folder of the pages and tables; studies/NAME by default.
        store: folder of the runs, which studies share; `runs` beside the output folder by default.
        data_dir: folder of data sets known by name, else that of TINYLM_DATA.
        dry_run: print the runs, their number and the time that they will take, and run none.
        retry: run failed runs again.
        ray: do the runs as tasks of the Ray cluster of RAY_ADDRESS, or of one that is started on this machine.
    """
    from tinylm.study.pages import RECORD, Record, write_pages
    from tinylm.study.running import plan, run_study
    from tinylm.study.runs.lab import Lab
    from tinylm.study.runs.run_folders import RunFolders
    from tinylm.study.studies import study_named

    asked = study_named(name).at(scale, assignments)
    folder = output or Path("studies") / name
    others = [entry for entry in names_in(folder) if entry != RECORD]
    if others and not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds something else ({others[0]}); choose a new folder")
    runs = store or folder.parent / "runs"
    lab = Lab(RunFolders(runs.resolve(), retry=retry), data_dir)
    planned = plan(asked, lab, progress)
    if dry_run:
        out.print("\n".join(planned.lines()))
        out.print(f"settings: {asked.settings_line()}")
        return
    record = Record(name, scale, tuple(assignments), str(runs.resolve()), data_dir)
    record.save(folder)
    try:
        failed = run_study(lab, planned, progress, ray=ray)
    except InterruptedByUserError as error:
        raise InterruptedByUserError(f"{error}; repeat the command to go on") from error
    record.with_failures(failed).save(folder)
    out.print(write_pages(folder).answer)
    out.print(f"The page is {folder / 'report.html'}, the table {folder / 'results.csv'}")
    if failed:
        for title, reason in failed.items():
            err.print(f"{title}: {reason}")
        raise TinyLMError(f"{len(failed)} run(s) failed; their reasons are on the page, and --retry runs them again")


studies = App(
    name="study", help="Answer questions by many runs: rates, gap, size, overlap, committee, latency, shape, recipe."
)
studies.default(study)
studies.command(
    "tinylm.cli.studies:recipe",
    name="recipe",
    help="Accuracy for minutes of pre-training, by recipe, against baselines.",
)
