import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ComponentType, HashAlgorithm } from '@cyclonedx/cyclonedx-library/Enums';
import {
  Bom,
  Component,
  type License,
  LicenseExpression,
  NamedLicense,
  SpdxLicense,
} from '@cyclonedx/cyclonedx-library/Models';
import { JSON as CycloneDx, JsonSerializer } from '@cyclonedx/cyclonedx-library/Serialize';
import { fixupSpdxId } from '@cyclonedx/cyclonedx-library/SPDX';
import { Spec1dot6 } from '@cyclonedx/cyclonedx-library/Spec';
import { checkout } from '../checkout.ts';
import type { BundledPackage } from './bundled-packages.ts';

/** A file of a build, which stands beside the bundled programs. */
export interface BuiltFile {
  name: string;
  sha256: string;
}

const licenceOf = (licence: string): License => {
  const id = fixupSpdxId(licence);
  if (id !== undefined) return new SpdxLicense(id);
  return / (AND|OR|WITH) /.test(licence) ? new LicenseExpression(licence) : new NamedLicense(licence);
};

/** A package's URL. https://github.com/package-url/purl-spec, npm: the `@` of a scope is written %40. */
const packageUrl = ({ name, version }: BundledPackage): string =>
  `pkg:npm/${name.replace('@', '%40')}@${version}`;

const packageComponent = (each: BundledPackage): Component => {
  const [algorithm, base64 = ''] = each.integrity.split(/-(.*)/s);
  if (algorithm !== 'sha512')
    throw new Error(`${each.folder} has the integrity ${each.integrity}, and sha512 was expected`);
  const purl = packageUrl(each);
  const component = new Component(ComponentType.Library, each.name, {
    version: each.version,
    purl,
    bomRef: purl,
  });
  component.hashes.set(HashAlgorithm['SHA-512'], Buffer.from(base64, 'base64').toString('hex'));
  component.licenses.add(licenceOf(each.licence));
  return component;
};

const fileComponent = ({ name, sha256 }: BuiltFile): Component => {
  const component = new Component(ComponentType.File, name, { bomRef: `file:${name}` });
  component.hashes.set(HashAlgorithm['SHA-256'], sha256);
  return component;
};

/** SQLite, which better-sqlite3 brings as one source file. */
const sqliteComponent = (): Component => {
  const header = readFileSync(join(checkout, 'node_modules/better-sqlite3/deps/sqlite3/sqlite3.h'), 'utf8');
  const [, version = ''] = /^#define SQLITE_VERSION\s+"([\d.]+)"/m.exec(header) ?? [];
  const component = new Component(ComponentType.Library, 'sqlite', { version, bomRef: `sqlite@${version}` });
  component.licenses.add(new NamedLicense('public domain'));
  return component;
};

/**
 * What is in a build: the files, and the packages of which they hold code, as CycloneDX 1.6. The same build gives the
 * same text.
 * @param name of the whole, such as `kernel-agent-board`.
 */
export const billOfMaterials = (
  name: string,
  packages: readonly BundledPackage[],
  files: readonly BuiltFile[],
): string => {
  const bom = new Bom();
  bom.metadata.component = new Component(ComponentType.Application, name, { bomRef: name });
  for (const each of packages) bom.components.add(packageComponent(each));
  if (packages.some((each) => each.name === 'better-sqlite3')) bom.components.add(sqliteComponent());
  for (const each of files) bom.components.add(fileComponent(each));
  const serializer = new JsonSerializer(new CycloneDx.Normalize.Factory(Spec1dot6));
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`;
};
