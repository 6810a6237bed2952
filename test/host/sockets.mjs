// Every address that a process and its children talk to, by strace: what the privacy promise is held to.

import { existsSync, readFileSync } from "node:fs";

export const canTrace = process.platform === "linux" && existsSync("/usr/bin/strace");

/** The command that runs `command` with its sockets recorded in `file`. */
export function traced(command, file) {
  const calls = "trace=connect,sendto,sendmsg,sendmmsg";
  return ["/usr/bin/strace", "-f", "--seccomp-bpf", "-qq", "-e", calls, "-o", file, ...command];
}

/** The internet addresses in strace's output, each once; those of this machine apart. */
export function addressesIn(output) {
  const found = new Map(); // from an address with its port to how often
  const pattern =
    /sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)|sin6_port=htons\((\d+)\)[^}]*?inet_pton\(AF_INET6, "([^"]+)"/g;
  for (const [, port4, address4, port6, address6] of output.matchAll(pattern)) {
    const key = `${address4 ?? address6} port ${port4 ?? port6}`;
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  const isLocal = (key) => /^(127\.|::1 |::ffff:127\.)/.test(key);
  const all = [...found.keys()];
  return { local: all.filter(isLocal), remote: all.filter((key) => !isLocal(key)) };
}

export const addressesOf = (file) => addressesIn(readFileSync(file, "utf8"));
