"""What training reads of a shard, and how its rate goes."""

import pathlib
import tempfile
import unittest

import numpy as np
import support  # noqa: F401  (the path of training/)

# isort: split
from train import CONTINUED_RATE, KEPT_ROWS, Data, rate_at, read_and_kept


class Rows(unittest.TestCase):
    def shard(self, folder: str, rows: int) -> pathlib.Path:
        """Each row's tokens are its number."""
        tokens = np.repeat(np.arange(rows, dtype=np.uint16)[:, None], 5, axis=1)
        path = pathlib.Path(folder) / "shard.npz"
        sets, features = np.zeros_like(tokens), np.zeros((1, 3), dtype=bool)
        np.savez(path, tokens=tokens, set_of=sets, features=features)
        return path

    def test_rows_kept_are_never_read(self):
        rows = KEPT_ROWS + 10
        with tempfile.TemporaryDirectory() as folder:
            data = Data([self.shard(folder, rows)])
        passes = [
            {int(row[0]) for step in range(5) for row in data.batch(at + step, 2, "cpu")[0]}
            for at in (0, 5, 10)
        ]
        kept = set(read_and_kept(rows)[1].tolist())
        self.assertEqual(len(kept), KEPT_ROWS)
        for read in passes:
            self.assertEqual(read, set(range(rows)) - kept)

    def test_a_shard_too_small_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(ValueError, "shard.npz: 300 rows are kept back"):
                Data([self.shard(folder, KEPT_ROWS)])


class Rate(unittest.TestCase):
    def test_is_warmed_up_and_falls_to_zero(self):
        for continued, peak in ((False, 1.0), (True, CONTINUED_RATE)):
            rates = [rate_at(share, continued) for share in np.linspace(0, 1, 101)]
            self.assertEqual((rates[0], rates[-1]), (0, 0))
            self.assertAlmostEqual(max(rates), peak)
            top = rates.index(max(rates))
            self.assertEqual(rates[:top], sorted(rates[:top]))
            self.assertEqual(rates[top:], sorted(rates[top:], reverse=True))


if __name__ == "__main__":
    unittest.main()
