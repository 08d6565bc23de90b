import { join } from 'node:path';
import { BuilderConfig } from '../../../schemas/config.ts';

/** A builder's config with all its folders in `folder`. It builds as `nobody` if the tests run as root. */
export const builderConfig = (
  folder: string,
  {
    repositories = {},
    environment = {},
  }: { repositories?: Record<string, string>; environment?: Record<string, string> } = {},
): BuilderConfig =>
  BuilderConfig.parse({
    fleet: 'test',
    host: 'boltzmann',
    nats: { servers: ['127.0.0.1'] },
    keyFile: join(folder, 'key.pem'),
    trustFile: '/trust.json',
    stateFolder: join(folder, 'state'),
    role: 'builder',
    repositories,
    recordsIn: ['kernel-agent'],
    git: { author: { name: 'kernel-agent', email: 'kernel-agent@example.org' } },
    makepkg: {
      ...(process.getuid?.() === 0 ? { user: { uid: 65534, gid: 65534 } } : {}),
      carch: 'aarch64',
      sourcesFolder: join(folder, 'sources'),
      worktreesFolder: join(folder, 'worktrees'),
      packager: 'kernel-agent <kernel-agent@example.org>',
      environment,
      // The tests also run where nothing can make namespaces.
      confinement: 'if-possible',
    },
    offeredFolder: join(folder, 'offered'),
  });
