"""A study from outside: one short file with a question, its factors, its runs and what is concluded."""

from dataclasses import dataclass

from study_fixtures import write_desk

from tinylm.core.progress import Silent
from tinylm.study.declaration import Findings, Study
from tinylm.study.reporting.conclusions import Comparison, sentence
from tinylm.study.reporting.report import Section
from tinylm.study.running import plan, results_of, run_study
from tinylm.study.runs.lab import Lab
from tinylm.study.runs.run_folders import RunFolders


@dataclass(frozen=True, kw_only=True)
class Depth(Study):
    name = "depth"
    question = "Are six layers better than one?"

    def factors(self):
        return {"task": self.tasks, "shape": ("bert-1", "bert-6")}

    def runs(self, levels, seed):
        return [self.tuned(self.start("mlm", levels["shape"], seed), levels["task"], seed)]

    def findings(self, results):
        found = Comparison.of(results, "shape", "bert-6", "bert-1")
        return Findings(sentence([found.sentence()]), [Section("Difference", tables=[found.table()])])


def test_question_from_outside(tmp_path, monkeypatch):
    write_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    study = Depth.at("smoke", ["corpus=notes.txt", "vocabulary=none", "tasks=labels.csv", "tokens=3000", "rates=1"])
    lab = Lab(RunFolders(tmp_path / "runs"))
    assert run_study(lab, plan(study, lab, Silent()), Silent()) == {}
    results = results_of(study, lab)
    assert len(results.rows) == 4 and "The difference bert-6 minus bert-1 is " in study.findings(results).answer
