import { hash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { Metafile } from 'esbuild';
import { checkout } from '../checkout.ts';
import { billOfMaterials } from './bill-of-materials.ts';
import { bundledPackages, licenceNotices } from './bundled-packages.ts';

// Writes the bill and the licences of this checkout's own bundle: bill-main.js FOLDER, with esbuild's metafile on
// standard input. Legal comments are in the bundled files themselves.
const folder = resolve(process.argv[2] ?? 'dist');
const metafile = JSON.parse(readFileSync(0, 'utf8')) as Metafile;
const files = Object.keys(metafile.outputs).map((output) => {
  const file = join(checkout, output);
  return { name: relative(folder, file), sha256: hash('sha256', readFileSync(file), 'hex') };
});
const packages = await bundledPackages(metafile);
writeFileSync(join(folder, 'sbom.cdx.json'), billOfMaterials('kernel-agent', packages, files));
writeFileSync(join(folder, 'licences.txt'), await licenceNotices(packages, []));
