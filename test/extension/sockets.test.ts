import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { pathToFileURL } from "node:url";

const module = pathToFileURL(join(__dirname, "../host/sockets.mjs")).href;

/** What strace prints, and the addresses that the suite in VS Code would be held to. */
async function check(output: string, local: string[], remote: string[]) {
  const { addressesIn } = await import(module);
  assert.deepEqual(addressesIn(output), { local, remote });
}

const to = (family: string, rest: string) =>
  `7 connect(3, {sa_family=${family}, ${rest}}, 16) = 0\n`;
const v4 = (address: string) =>
  to("AF_INET", `sin_port=htons(443), sin_addr=inet_addr("${address}")`);
const v6 = (address: string) =>
  to(
    "AF_INET6",
    `sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "${address}", &sin6_addr)`,
  );

suite("sockets that were seen", () => {
  test("are this machine's", () =>
    check(
      v4("127.0.0.1") + v4("127.0.0.53") + v6("::1") + v6("::ffff:127.0.0.1"),
      ["127.0.0.1 port 443", "127.0.0.53 port 443", "::1 port 443", "::ffff:127.0.0.1 port 443"],
      [],
    ));
  test("are others'", () =>
    check(v4("192.0.2.7") + v6("2001:db8::1"), [], ["192.0.2.7 port 443", "2001:db8::1 port 443"]));
  test("are counted once", () => check(v4("192.0.2.7").repeat(3), [], ["192.0.2.7 port 443"]));
  test("are seen where nothing is connected, too", () =>
    check(
      '7 sendto(3, "a"..., 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.53")}, 16) = 1\n',
      [],
      ["192.0.2.53 port 53"],
    ));
  test("are none where sockets have no address of the internet", () =>
    check(to("AF_UNIX", 'sun_path="/run/x"'), [], []));
});
