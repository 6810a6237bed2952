"""What may be trained on: a planted HumanEval solution is found, licences are read, copies are
dropped.
"""

import gzip
import json
import os
import pathlib
import re
import tempfile
import unittest

import support  # noqa: F401

# isort: split
from corpus import (
    Decontamination,
    NearDuplicates,
    documents,
    licence_of,
    package_files,
    readable,
    refused_files,
)

PROBLEM = {
    "task_id": "Test/0",
    "prompt": 'def running_maximum(numbers):\n    """The largest so far, at every place."""\n',
    "canonical_solution": """    largest = None
    result = []
    for number in numbers:
        if largest is None or number > largest:
            largest = number
        result.append(largest if largest is not None else 0)
    return [value for value in result if value != -1]
""",
}

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2001 A
License: Apache-2.0

Files: package/stem/porter.py
 package/lazy.py
Copyright: 2002 B
License: GPL-2-with-exception
 Some text.

Files: package/other.py
Copyright: 2003 C
License: Expat
"""

UNRELATED = '''"""Reads settings."""
import json

class Settings:
    def __init__(self, path):
        self.path = path
        self.values = {}

    def load(self):
        with open(self.path) as file:
            self.values = json.load(file)
        for key in sorted(self.values):
            print(key, "=", self.values[key])
        return self

    def get(self, key, default=None):
        return self.values.get(key, default)
'''


def renamed(code: str) -> str:
    """`code` with every name of its own changed, docstrings gone, and other text around it."""
    code = re.sub(r'""".*?"""', "", code, flags=re.DOTALL)
    own = set(re.findall(r"\b[a-z_]\w*\b", code)) - Decontamination.KEYWORDS
    for index, name in enumerate(sorted(own)):
        code = re.sub(rf"\b{name}\b", f"thing{index}", code)
    return UNRELATED + "\n\n" + code + "\n\n# the end\n"


def folder_with(problems: list[dict]) -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory()
    with gzip.open(pathlib.Path(folder.name, "HumanEval.jsonl.gz"), "wt") as lines:
        lines.writelines(json.dumps(problem) + "\n" for problem in problems)
    return folder


class Corpus(unittest.TestCase):
    def test_a_planted_solution_is_found_also_renamed(self):
        with folder_with([PROBLEM]) as name:
            decontamination = Decontamination(pathlib.Path(name))
        solution = PROBLEM["prompt"] + PROBLEM["canonical_solution"]
        self.assertEqual(decontamination.near(UNRELATED + solution), "Test/0")
        self.assertEqual(decontamination.near(renamed(solution)), "Test/0")
        self.assertIsNone(decontamination.near(UNRELATED))

    @unittest.skipUnless(
        "HUMANEVAL" in os.environ, "HUMANEVAL names no folder of HumanEval.jsonl.gz"
    )
    def test_nearly_every_humaneval_solution_is_found_renamed(self):
        folder = pathlib.Path(os.environ["HUMANEVAL"])
        decontamination = Decontamination(folder)
        with gzip.open(folder / "HumanEval.jsonl.gz", "rt") as lines:
            problems = [json.loads(line) for line in lines]
        whole = [p["prompt"] + p["canonical_solution"] for p in problems]
        found = sum(decontamination.near(renamed(text)) is not None for text in whole)
        long = [text for text in whole if len(decontamination.shingles(text)) >= 3]
        print(f"{found} of {len(whole)} found; {len(long)} are long enough to be told")
        self.assertGreater(found, 0.9 * len(long))

    def test_licences_are_allowed_by_name_and_refused_by_name(self):
        for stated, expected in (
            ('"MIT"', "MIT"), ("BSD-3-Clause", "BSD"), ("Apache License 2.0", "Apache-2.0"),
            ("ISC", "ISC"), ("GPL-3.0-or-later", None), ("LGPL-2.1", None), 
            ("MIT OR GPL-2.0", None),
            ("MPL-2.0", None), ("All rights reserved", None), ("", None),
        ):  # fmt: skip
            self.assertEqual(licence_of(stated), expected, stated)

    def test_a_package_whose_metadata_disagrees_is_refused(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / "p").mkdir()
            entry = {"name": "p", "source": "npm", "licence": "MIT"}
            for stated, refused in (("MIT", False), ("ISC", True), ("GPL-3.0", True)):
                (root / "p" / "package.json").write_text(json.dumps({"license": stated}))
                if refused:
                    self.assertRaises(ValueError, package_files, entry, [root])
                else:
                    self.assertEqual(package_files(entry, [root])[0], "MIT")

    def test_files_under_a_licence_of_their_own_are_refused_by_it(self):
        refused = refused_files(COPYRIGHT)
        self.assertIn("*/package/stem/porter.py", refused)
        self.assertIn("*/stem/porter.py", refused)
        self.assertFalse([pattern for pattern in refused if "other" in pattern or "/*" == pattern])

    def test_near_copies_are_dropped(self):
        near = NearDuplicates()
        text = "\n".join(f"value_{i} = compute_{i}(first_{i}, {i})" for i in range(60))
        self.assertTrue(near.is_new(text))
        self.assertFalse(near.is_new(text.replace("value_7 ", "other ")))
        self.assertTrue(near.is_new(text.replace("compute", "derive")))

    def test_data_and_generated_files_are_unreadable(self):
        self.assertTrue(readable(UNRELATED))
        self.assertFalse(readable("x = 1;" * 200))
        self.assertFalse(readable("// Code generated by protoc. DO NOT EDIT.\n" + UNRELATED))
        self.assertFalse(readable("1, 2, 3, 4,\n" * 100))

    def test_files_are_chosen_by_kind_and_size(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            texts = {
                "src/a.py": UNRELATED, "src/copy.py": UNRELATED + "\n\n",
                "tests/b.py": "#b\n" + UNRELATED,
                "c.d.ts": UNRELATED, "tiny.py": "x = 1\n", "notes.md": UNRELATED,
            }  # fmt: skip
            for short, text in texts.items():
                (folder / short).parent.mkdir(exist_ok=True)
                (folder / short).write_text(text)
            files = [(short, folder / short) for short in texts]
            entry = {"name": "package", "split": "train"}
            found = list(documents(entry, files, set(), NearDuplicates()))
        self.assertEqual([document["path"] for document in found], ["package/src/a.py"])


if __name__ == "__main__":
    unittest.main()
