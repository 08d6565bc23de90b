import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';

/** The interface in a line of /proc/net/route or ipv6_route, if the route leads off this host; proc_net(5). */
const leadsTo = (line: string): string | undefined => {
  const fields = line.trim().split(/\s+/);
  const [first = ''] = fields;
  const last = fields.at(-1) ?? '';
  if (!/^[0-9a-f]{32}$/i.test(first)) return first === 'Iface' || first === '' ? undefined : first;
  // Link-local and multicast routes: every interface has those.
  return /^(fe[89ab]|ff)/i.test(first) ? undefined : last;
};

/**
 * What is wrong with this system's network, as far as that shows locally; undefined if nothing is, or if it can't be
 * read. It does not check whether anybody answers.
 */
export const networkFault = async ({
  interfacesFolder,
  routeFiles,
}: BoardConfig['network']): Promise<string | undefined> => {
  try {
    const names = (await readdir(interfacesFolder)).filter((name) => name !== 'lo').sort();
    if (names.length === 0) return 'no interface but lo';
    const states = await Promise.all(
      names.map(async (name) => (await readFile(join(interfacesFolder, name, 'operstate'), 'utf8')).trim()),
    );
    // Drivers that don't say whether there is a carrier are "unknown": Documentation/networking/operstates.rst.
    const up = names.filter((_, at) => states[at] === 'up' || states[at] === 'unknown');
    if (up.length === 0) return names.map((name, at) => `${name} is ${states[at]}`).join(', ');
    const read = routeFiles.map((file) => readFile(file, 'utf8').catch(() => undefined));
    const tables = (await Promise.all(read)).filter((text) => text !== undefined);
    if (tables.length === 0) return undefined;
    const routes = tables.flatMap((text) => text.split('\n')).flatMap((line) => leadsTo(line) ?? []);
    return routes.some((name) => name !== 'lo') ? undefined : `${up.join(', ')} has no address and no route`;
  } catch {
    return undefined;
  }
};
