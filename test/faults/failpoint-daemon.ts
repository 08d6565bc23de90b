import { spawn } from 'node:child_process';
import { failpoint } from '../../eventlog/failpoint.ts';

// The test of the failpoints kills this process, which has a child and passes two of them.
const child = spawn('sleep', ['60'], { stdio: 'ignore' });
failpoint('hertz', 'publish fetch intent');
failpoint('hertz', 'publish swap acted');
child.kill();
