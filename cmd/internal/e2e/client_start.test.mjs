// What the commands say when they cannot start, and how they end.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { freePorts, runCommand, startServer } from "./client_process.mjs";
import { closed, connectClient, soon } from "./client_socket.mjs";

const serve = { rollcall: ["serve"], pointingparty: [] };

for (const [command, before] of Object.entries(serve)) {
  /** Runs the command, and asserts that it says one thing, which matches all of patterns. */
  const fails = async (code, args, ...patterns) => {
    const result = await runCommand(command, ...before, ...args);
    assert.equal(result.code, code, result.log);
    assert.equal(result.output, "");
    const said = result.log.split("\n").filter((line) => line.startsWith(command + ": "));
    assert.equal(said.length, code, result.log); // with 2, also the hint at --help
    for (const pattern of patterns) assert.match(said[0], pattern);
  };

  test(`${command} names the port that is taken`, async (t) => {
    const server = await startServer(t, command);
    await fails(1, ["--listen", `127.0.0.1:${server.port}`], new RegExp(`listen at 127\\.0\\.0\\.1:${server.port}: address already in use`));
    const client = await connectClient(t, server); // which was not disturbed
    assert.deepEqual(client.closes, []);
  });

  test(`${command} names the NATS server that it cannot reach, without its password`, async () => {
    const [port] = await freePorts(1);
    await fails(1, ["--listen", "127.0.0.1:0", "--nats", `nats://me:hidden@127.0.0.1:${port}`], new RegExp(`127\\.0\\.0\\.1:${port}`), /^(?!.*hidden)/);
  });

  test(`${command} says what is allowed of a flag`, async () => {
    await fails(2, ["--log-level", "loud"], /--log-level.*must be debug, info, warn or error/);
    await fails(2, ["--port", "1"], /--port/);
    await fails(2, ["--routes", "h:1"], /--routes needs --cluster-listen/);
    await fails(2, ["--nats", "h"], /--nats.*nats, tls, ws or wss/);
  });

  test(`${command} warns when nobody has to prove anything`, async (t) => {
    const server = await startServer(t, command);
    await server.logged(/level=WARN msg="no authentication is configured/);
  });

  test(`${command} lists its flags when asked`, async () => {
    const { code, output } = await runCommand(command, ...before, "--help");
    assert.equal(code, 0);
    for (const flag of ["listen", "admin-listen", "name", "nats", "cluster-listen", "routes", "allow-origin", "shutdown-timeout"]) assert.match(output, new RegExp(`^  --${flag} `, "m"));
  });

  test(`${command} serves its figures at the admin address only, where there is one`, async (t) => {
    const server = await startServer(t, command, ["--admin-listen", "127.0.0.1:0"]);
    const admin = server.output.match(/: admin at (http:\S+)$/m)[1];
    for (const path of ["/metrics", "/debug/pprof/"]) {
      assert.equal((await fetch(server.url + path)).status, 404);
      assert.equal((await fetch(admin + path)).status, 200);
    }
    for (const url of [server.url, admin]) assert.equal((await fetch(url + "/healthz")).status, 200);
    assert.equal(await soon(server.end("SIGTERM"), "the process to end"), 0);
  });

  test(`SIGTERM closes the clients of ${command} with 1012 and ends it`, async (t) => {
    const server = await startServer(t, command, ["--name", "only"]);
    const client = await connectClient(t, server);
    // The connection counts once its first message is answered, soon after it is open.
    await soon(new Promise((resolve) => client.socket.ping(resolve)), "a heartbeat's answer");
    assert.deepEqual(await server.health(), { code: 200, status: "ok", replica: "only", connected: true, connections: 1 });
    const code = closed(client);
    assert.equal(await soon(server.end("SIGTERM"), "the process to end"), 0);
    assert.equal(await code, 1012);
    assert.doesNotMatch(server.log, /level=ERROR/);
  });

  test(`a second signal ends ${command} at once`, async (t) => {
    const server = await startServer(t, command);
    // A client that does not answer the close holds up the shutdown for seconds.
    const deaf = connect(server.port, "127.0.0.1");
    t.after(() => deaf.destroy());
    deaf.write(
      `GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    const [head] = await once(deaf, "data");
    assert.match(head.toString(), /^HTTP\/1\.1 101 /);
    server.child.kill("SIGTERM");
    await once(deaf, "data"); // the close frame: the shutdown is under way
    const again = Date.now();
    assert.equal(await soon(server.end("SIGINT"), "the process to end"), 1);
    assert.ok(Date.now() - again < 2000);
  });
}

test("rollcall says which commands there are", async () => {
  const unknown = await runCommand("rollcall", "server");
  assert.equal(unknown.code, 2);
  assert.match(unknown.log, /^rollcall: unknown command "server": there are serve, version and help\n$/);
  const version = await runCommand("rollcall", "version");
  assert.equal(version.code, 0);
  assert.match(version.output, /^rollcall \S+ .*go1\.\d+/);
  assert.match((await runCommand("rollcall", "help")).output, /rollcall serve/);
});
