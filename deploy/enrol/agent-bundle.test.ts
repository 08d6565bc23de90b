import { execFile } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { EnrolledHost } from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { Role } from '../../schemas/step-names.ts';
import { trustFileText } from '../../schemas/trust-file.ts';
import { bundleEnroller } from './agent-bundle.ts';
import { makeBuild } from './host-build.ts';
import { completeConfig } from './host-config.ts';
import { ownTarget } from './node-gyp.ts';
import { addonFile } from './sqlite-addon.ts';
import { writtenHosts } from './testdata/written-hosts.ts';

const run = promisify(execFile);
/** Runs a program and returns its output, however it ended. */
const saidBy = (argv: string[], cwd: string): Promise<string> =>
  run(process.execPath, argv, { cwd, timeout: 30_000 }).then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );

let folder: string;
/** Far from the checkout, so that nothing is found in its node_modules. */
const place = (name: string) => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-bundle-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const install = async (role: Role): Promise<string> => {
  const at = place(role);
  mkdirSync(at);
  for (const { path, bytes } of (await makeBuild(ownTarget(), role, {})).files)
    writeFileSync(join(at, basename(path)), bytes);
  return at;
};

it.each(Role.options)('makes an agent of a %s that runs without any package beside it', async (role) => {
  const at = await install(role);
  const text = readFileSync(join(at, 'agent.mjs'), 'utf8');
  for (const other of Role.options)
    expect(text.includes(`\n// agents/${other}/${other}.ts\n`)).toBe(other === role);
  const newKey = () => readWriterKey(generateWriterKey()).publicKey;
  const trustFile = join(at, 'trust.json');
  const fleet = Fleet.parse({
    fleet: 'reauktion',
    signingKey: 'A'.repeat(40),
    admin: { publicKey: newKey() },
    coordinator: { publicKey: newKey() },
    operators: {},
    hosts: {},
  });
  writeFileSync(trustFile, trustFileText(fleet));
  const { config } = completeConfig(EnrolledHost.parse(writtenHosts[role]), {
    fleet: 'reauktion',
    host: 'fresnel',
    file: '/etc/fresnel.yaml',
  });
  writeFileSync(join(at, 'agent.yaml'), stringify({ ...config, trustFile }));

  // All of the role's code is loaded before the agent reports that this fleet does not have the host.
  expect(await saidBy(['agent.mjs', '--config', 'agent.yaml'], at)).toBe(
    `agent: ${trustFile} has no host fresnel, and the config says ${role}\n`,
  );
  expect(await saidBy(['host.mjs', 'check'], at)).toBe('');
  const empty = { deadline: null, attempts: [], unsent: 0 };
  expect(JSON.parse(await saidBy(['host.mjs', 'open', '--config', 'agent.yaml'], at))).toEqual(empty);

  await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: at });
  appendFileSync(join(at, addonFile), '\0');
  expect(await saidBy(['host.mjs', 'check'], at)).toMatch(
    /better_sqlite3\.node has the sha256 .* enrol again/,
  );
});

it('makes an enroller that runs from a pipe, and reports why it can’t do something', async () => {
  const child = run(process.execPath, ['--input-type=module', '-'], { cwd: folder });
  child.child.stdin?.end(
    `globalThis.asked = ${JSON.stringify({ do: 'nothing' })};\n${await bundleEnroller()}`,
  );
  await expect(child).rejects.toThrow('Invalid');
});
