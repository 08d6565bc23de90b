import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { confinementMissing, confinementOf } from '../../agents/builder/makepkg/confinement.ts';
import { createMakepkg } from '../../agents/builder/makepkg/makepkg.ts';
import { builderConfig } from '../../agents/builder/testdata/builder-config.ts';
import { completeConfig } from '../../deploy/enrol/host-config.ts';
import { writtenHosts } from '../../deploy/enrol/testdata/written-hosts.ts';
import { createRun } from '../../host/run.ts';
import { AgentConfig, type BuilderConfig, EnrolledHost } from '../../schemas/config.ts';
import { testFolder } from '../ka.ts';
import { attack } from './attack.ts';

let place: Awaited<ReturnType<typeof testFolder>>;
beforeAll(async () => {
  place = await testFolder('attack-unconfined');
});
afterAll(() => place?.remove());

/** What enrolment writes for a builder whose operator does not speak of confinement, with the folders of this test. */
const enrolledBuilder = (): BuilderConfig => {
  const written = EnrolledHost.parse(writtenHosts.builder);
  const named = { fleet: 'test', host: 'boltzmann', file: join(place.folder, 'boltzmann.yaml') };
  const { config } = completeConfig(written, named);
  if (config.role !== 'builder') throw new Error(`the example of a builder is a ${config.role}`);
  const here = builderConfig(place.folder);
  const makepkg = { ...here.makepkg, confinement: config.makepkg.confinement };
  return { ...here, makepkg };
};

attack('unconfined-pkgbuild', 'where nothing can be confined, the PKGBUILD is not read', async () => {
  const spied = join(place.folder, 'spied');
  const package_ = join(place.folder, 'package');
  mkdirSync(package_);
  writeFileSync(join(package_, 'PKGBUILD'), `pkgname=p pkgver=1 pkgrel=1 arch=(any)\n: >${spied}\n`);
  const config = enrolledBuilder();
  const forbidden = async () => 'this host forbids it';
  const refused = { fault: 'host', message: expect.stringMatching(/"required".*this host forbids it/) };
  await expect(confinementOf(config, forbidden)).rejects.toMatchObject(refused);
  const makepkg = createMakepkg(
    createRun(() => undefined),
    config,
  );
  await expect(makepkg.printSrcinfo(package_)).rejects.toMatchObject(refused);
  expect(existsSync(spied)).toBe(false);
  // The agent's presence says so as well, before anything is asked of it.
  expect(await confinementMissing(config)).toMatch(/this host forbids it/);
});

attack('unconfined-pkgbuild', 'an agent’s config that does not speak of it requires it', () => {
  const { confinement: _, ...makepkg } = builderConfig(place.folder).makepkg;
  const config = AgentConfig.parse({ ...builderConfig(place.folder), makepkg });
  expect(config).toMatchObject({ makepkg: { confinement: 'required' } });
});
