// How much memory there is for this process.

import os from "node:os";

/** Bytes: the machine's, or what a container (`constrained`; 0: not known) leaves of it. */
export function memoryHere(
  machine = os.totalmem(),
  constrained = process.constrainedMemory(),
): number {
  return constrained > 0 ? Math.min(machine, constrained) : machine;
}
