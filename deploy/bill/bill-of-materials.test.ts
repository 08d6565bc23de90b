import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import { beforeAll, expect, it } from 'vitest';
import { Role } from '../../schemas/step-names.ts';
import { type AgentBundle, bundleAgent } from '../enrol/agent-bundle.ts';
import { billOfMaterials } from './bill-of-materials.ts';

/** CycloneDX's own schemas, as its library brings them. */
const schemas = join(
  dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json')),
  'res/schema',
);
const schema = (name: string) =>
  JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8')) as Record<string, unknown>;

const files = [{ name: 'better_sqlite3.node', sha256: 'a'.repeat(64) }];
let bundles: Map<Role, AgentBundle>;
beforeAll(async () => {
  bundles = new Map(
    await Promise.all(Role.options.map(async (role) => [role, await bundleAgent(role)] as const)),
  );
});
const billOf = (role: Role) =>
  billOfMaterials(`kernel-agent-${role}`, bundles.get(role)?.packages ?? [], files);

it.each(Role.options)('lists what a %s runs, as CycloneDX’s schema wants it', (role) => {
  const bill = JSON.parse(billOf(role));
  const ajv = new Ajv({ strict: false, validateFormats: false });
  for (const name of ['spdx', 'jsf-0.82'])
    ajv.addSchema(schema(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  const validate = ajv.compile(schema('bom-1.6'));
  expect([validate(bill), validate.errors]).toEqual([true, null]);
});

it('names each package with its version, its hash and its licence, and the addon with what is in it', () => {
  const { components } = JSON.parse(billOf('board')) as { components: Record<string, unknown>[] };
  const named = (name: string) => components.find((each) => each.name === name);
  expect(named('zod')).toMatchObject({
    type: 'library',
    purl: expect.stringMatching(/^pkg:npm\/zod@\d/),
    hashes: [{ alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) }],
    licenses: [{ license: { id: 'MIT' } }],
  });
  expect(named('@sec-ant/readable-stream')).toMatchObject({
    purl: expect.stringMatching(/^pkg:npm\/%40sec-ant\//),
  });
  expect(named('sqlite')).toMatchObject({ version: expect.stringMatching(/^3\.\d+\.\d+$/) });
  expect(named('better_sqlite3.node')).toMatchObject({
    type: 'file',
    hashes: [{ alg: 'SHA-256', content: 'a'.repeat(64) }],
  });
});

it('is the same text for the same build, so that a build has one name', () => {
  const packages = bundles.get('board')?.packages ?? [];
  expect(billOfMaterials('kernel-agent-board', packages.toReversed(), files)).toBe(billOf('board'));
});

it('keeps the licence of each bundled package, by its name and by the files in its folder', () => {
  const { packages = [], notices = '' } = bundles.get('builder') ?? {};
  expect(packages.length).toBeGreaterThan(10);
  for (const { name, version, folder } of packages) {
    expect(notices).toContain(`## ${name} ${version}\n`);
    const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (licence) expect(notices).toContain(readFileSync(join(folder, licence), 'utf8').trim());
  }
});
