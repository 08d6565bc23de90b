#!/usr/bin/env node
// The sweep of this example. Without a Rockchip there is nothing to decode on, so it looks at what was installed:
//
//   sweep.mjs --root ROOT ROW PATH FIXTURE OUTPUT
//
//   row                            path      finding
//   release                        image     the release that the boot image states
//   release                        modules   the folder of modules that goes with it
//   hantro, rockchip-rga, rkvdec   module    the helper, if the driver's module imports it
//   hantro, rockchip-rga, rkvdec   kernel    the helper, if the installed kernel exports it
//
// The finding goes to OUTPUT; stdout gets one line of JSON that names the file it comes from. No row has a
// fixture: FIXTURE is `-`. Exit 1 and a sentence on stderr mean that it could not look, which is no finding.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const helper = 'vb2_buffer_attach_release_fence';
const bootImage = 'boot/Image-fresnel-fourier';
const moduleFolders = 'usr/lib/modules';

const driverModules = { hantro: 'hantro-vpu', 'rockchip-rga': 'rockchip-rga', rkvdec: 'rockchip-vdec' };

class CannotLook extends Error {}

try {
  const { values, positionals } = parseArgs({
    options: { root: { type: 'string' } },
    allowPositionals: true,
  });
  const [row, path, , output] = positionals;
  if (values.root === undefined || positionals.length !== 4) {
    throw new CannotLook('usage: sweep.mjs --root ROOT ROW PATH FIXTURE OUTPUT');
  }
  const { device, finding } = look(values.root, row, path);
  writeFileSync(output, `${finding}\n`);
  console.log(JSON.stringify({ device: `/${device}`, frames: 1 }));
} catch (error) {
  if (!(error instanceof CannotLook) && error.code === undefined) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function look(root, row, path) {
  switch (`${Object.hasOwn(driverModules, row) ? 'driver' : row} ${path}`) {
    case 'release image':
      return { device: bootImage, finding: imageRelease(root) };
    case 'release modules':
      return { device: moduleFolders, finding: modulesRelease(root) };
    case 'driver module':
      return moduleImport(root, driverModules[row]);
    case 'driver kernel':
      return kernelExport(root);
    default:
      throw new CannotLook(`there is no row ${row} with a path ${path}`);
  }
}

/** The release in the banner that the kernel prints first when it boots. */
function imageRelease(root) {
  const banner = /Linux version (\S+) \(/.exec(read(root, bootImage).toString('latin1'));
  if (banner === null) throw new CannotLook(`/${bootImage} holds no "Linux version": is it compressed?`);
  return banner[1];
}

/** The folder in which a kernel of the image's release looks for its modules, or else the folders that are there. */
function modulesRelease(root) {
  const release = imageRelease(root);
  const folders = readdirSync(join(root, moduleFolders)).sort();
  return folders.includes(release)
    ? release
    : `no modules for ${release}, only for: ${folders.join(', ') || 'nothing'}`;
}

/** Whether the driver asks for the helper: an undefined symbol is one that insmod must find in the kernel. */
function moduleImport(root, name) {
  const device = moduleFile(root, name);
  if (device === undefined) throw new CannotLook(`modules.dep of ${imageRelease(root)} names no ${name}.ko`);
  const imported = symbols(read(root, device), device).some(
    (symbol) => symbol.name === helper && !symbol.defined,
  );
  return { device, finding: imported ? helper : `module does not use ${helper}` };
}

/**
 * Whether the kernel offers the helper. The source is what will run, not a list made beside it: the image's own
 * table of exported names when vb2 is built in (the names stand there between two NULs, and kallsyms, where the
 * rest of the names are, is compressed), or the export table of vb2's module when it is not.
 */
function kernelExport(root) {
  const modulesBuiltin = read(root, `${moduleFolders}/${imageRelease(root)}/modules.builtin`).toString();
  const builtin = /\/videobuf2-common\.ko$/m.test(modulesBuiltin);
  const device = builtin ? bootImage : moduleFile(root, 'videobuf2-common');
  if (device === undefined) throw new CannotLook('videobuf2-common is neither built in nor a module');
  const exported = builtin
    ? read(root, device).includes(`\0${helper}\0`, 0, 'latin1')
    : symbols(read(root, device), device).some(
        (symbol) => symbol.name === `__ksymtab_${helper}` && symbol.defined,
      );
  return { device, finding: exported ? helper : `kernel does not export ${helper}` };
}

/** A module's file as modprobe would find it, relative to the root. */
function moduleFile(root, name) {
  const folder = `${moduleFolders}/${imageRelease(root)}`;
  const files = read(root, `${folder}/modules.dep`)
    .toString()
    .split('\n')
    .map((line) => line.split(':')[0]);
  const file = files.find((path) => path.split('/').at(-1).split('.ko')[0] === name);
  return file === undefined ? undefined : `${folder}/${file}`;
}

/** The symbol table of a 64-bit little-endian ELF file; see elf(5). */
function symbols(elf, device) {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) {
    throw new CannotLook(`/${device} is no 64-bit little-endian ELF file: is it compressed?`);
  }
  const [tableOffset, entrySize, count] = [
    Number(elf.readBigUInt64LE(0x28)),
    elf.readUInt16LE(0x3a),
    elf.readUInt16LE(0x3c),
  ];
  const sections = Array.from({ length: count }, (_, index) => {
    const header = elf.subarray(tableOffset + index * entrySize);
    const offset = Number(header.readBigUInt64LE(0x18));
    const size = Number(header.readBigUInt64LE(0x20));
    return {
      type: header.readUInt32LE(4),
      link: header.readUInt32LE(0x28),
      bytes: elf.subarray(offset, offset + size),
    };
  });
  const table = sections.find((section) => section.type === 2 /* SHT_SYMTAB */);
  if (table === undefined) throw new CannotLook(`/${device} has no symbol table`);
  const names = sections[table.link].bytes;
  return Array.from({ length: table.bytes.length / 24 }, (_, index) => {
    const symbol = table.bytes.subarray(index * 24);
    const start = symbol.readUInt32LE(0);
    return {
      name: names.toString('latin1', start, names.indexOf(0, start)),
      defined: symbol.readUInt16LE(6) !== 0,
    };
  });
}

function read(root, file) {
  try {
    return readFileSync(join(root, file));
  } catch (error) {
    throw new CannotLook(`/${file} can't be read: ${error.code}`, { cause: error });
  }
}
