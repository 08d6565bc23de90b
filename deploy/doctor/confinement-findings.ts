import { mendConfinement, whyUnconfined } from '../../agents/builder/makepkg/confinement.ts';
import { type Finding, fine, wrong } from './finding.ts';
import type { LocalConfig } from './local-configs.ts';

/** Whether a builder on this machine could confine the programs of a PKGBUILD; tried as `nobody` if this is root. */
const machineFinding = async (): Promise<Finding> => {
  const what = 'confinement of what a PKGBUILD runs';
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
  const why = await whyUnconfined(nobody).catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  );
  return why === undefined
    ? fine(what, 'by bwrap')
    : wrong(what, `none: ${why}`, `${mendConfinement}; a builder that requires confinement refuses to build`);
};

/** Whether this machine can confine a PKGBUILD, and each builder's config here that does not require it. */
export const confinementFindings = async (configs: readonly LocalConfig[]): Promise<Finding[]> => [
  await machineFinding(),
  ...configs.flatMap(({ file, host, makepkg }) => {
    // Absent, it is `required`.
    const { confinement = 'required' } = makepkg ?? {};
    if (confinement === 'required') return [];
    return [
      wrong(
        `makepkg.confinement of ${host ?? 'a builder'} in ${file}`,
        `it is "${confinement}": where nothing can confine a PKGBUILD, it runs unconfined`,
        'remove that line from the config, or from the file that ka enrol makes it of, and enrol again',
      ),
    ];
  }),
];
