/**
 * extlinux.conf as U-Boot reads it: a line is a keyword, in any case, and a value. A label ends at the first keyword
 * that does not belong to a label. https://docs.u-boot.org/en/latest/develop/distro.html
 */
export interface ExtlinuxLabel {
  name: string;
  kernel?: string;
  initrd?: string;
  fdt?: string;
  fdtDir?: string;
  fdtOverlays?: string;
  /** Its other lines that matter for the boot, unchanged: APPEND and the like. */
  others: string[];
}

export interface ExtlinuxConf {
  labels: ExtlinuxLabel[];
  /** The labels that DEFAULT lines name. U-Boot uses the last one, and treats ONTIMEOUT as another DEFAULT. */
  defaults: string[];
  /** The label that boots by default. */
  boots: string | undefined;
  /** Whether it includes other files, which may name another default. */
  includes: boolean;
}

const begin = '# kernel-agent: the kernel from before the iteration; it goes when the new one is confirmed';
const end = '# kernel-agent: end';

const lineOf = (line: string): { word: string; value: string } => {
  const said = line.trim();
  if (said.startsWith('#')) return { word: '', value: '' };
  const [word = ''] = said.split(/\s/, 1);
  return { word: word.toLowerCase(), value: said.slice(word.length).trim() };
};
const isDefault = (line: string) => /^(default|ontimeout)$/.test(lineOf(line).word);

export const readExtlinux = (text: string): ExtlinuxConf => {
  const conf: ExtlinuxConf = { labels: [], defaults: [], boots: undefined, includes: false };
  let menuDefault: string | undefined;
  let label: ExtlinuxLabel | undefined;
  for (const line of text.split('\n')) {
    const { word, value } = lineOf(line);
    switch (word) {
      case '':
        break;
      case 'label':
        label = { name: value, others: [] };
        conf.labels.push(label);
        break;
      case 'kernel':
      case 'linux':
        if (label) label.kernel = value;
        break;
      // Of repeated lines of the following keywords the first counts.
      case 'initrd':
        if (label) label.initrd ??= value;
        break;
      case 'fdt':
      case 'devicetree':
        if (label) label.fdt ??= value;
        break;
      case 'fdtdir':
      case 'devicetreedir':
        if (label) label.fdtDir ??= value;
        break;
      case 'fdtoverlays':
      case 'devicetree-overlay':
        if (label) label.fdtOverlays ??= value;
        break;
      case 'append':
        if (label) {
          const initrd = /(?:^|\s)initrd=(\S+)/.exec(value)?.[1];
          if (initrd !== undefined) label.initrd ??= initrd;
          label.others.push(line.trim());
        }
        break;
      case 'ipappend':
      case 'kaslrseed':
      case 'localboot':
        label?.others.push(line.trim());
        break;
      case 'menu':
        if (label && /^default\b/i.test(value)) menuDefault ??= label.name;
        if (/^include\b/i.test(value)) conf.includes = true;
        break;
      case 'default':
      case 'ontimeout':
        conf.defaults.push(value);
        label = undefined;
        break;
      case 'include':
        conf.includes = true;
        label = undefined;
        break;
      default:
        label = undefined;
    }
  }
  conf.boots = conf.defaults.at(-1) ?? menuDefault ?? conf.labels[0]?.name;
  return conf;
};

const withValue = (line: string, value: string): string => {
  const before = lineOf(line).value;
  if (before === '') return `${line.trimEnd()} ${value}`;
  const at = line.lastIndexOf(before);
  return `${line.slice(0, at)}${value}${line.slice(at + before.length)}`;
};

/** Returns the text with another default. Everything around the names stays. */
export const withDefault = (text: string, name: string): string =>
  text
    .split('\n')
    .map((line) => (isDefault(line) ? withValue(line, name) : line))
    .join('\n');

/** Returns the text with a block of our own at its end: this label, made the default. */
export const withOwnLabel = (text: string, { name, ...label }: ExtlinuxLabel): string => {
  const says = (word: string, value: string | undefined) => (value === undefined ? [] : [`${word} ${value}`]);
  const lines = [
    'MENU LABEL the kernel from before the iteration',
    ...says('KERNEL', label.kernel),
    // Before APPEND: that may name an initrd too, and the first one counts.
    ...says('INITRD', label.initrd),
    ...says('FDT', label.fdt),
    ...says('FDTDIR', label.fdtDir),
    ...says('FDTOVERLAYS', label.fdtOverlays),
    ...label.others,
  ];
  const ownDefault = readExtlinux(text).defaults.length > 0 ? [] : [`DEFAULT ${name}`];
  const block = [begin, ...ownDefault, `LABEL ${name}`, ...lines.map((line) => `    ${line}`), end];
  const whole = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return withDefault(`${whole}${block.join('\n')}\n`, name);
};

/** Returns the text without the block that {@link withOwnLabel} added. */
export const withoutOwnLabel = (text: string): string => {
  const lines = text.split('\n');
  const from = lines.indexOf(begin);
  const to = lines.indexOf(end, from);
  return from < 0 || to < 0 ? text : [...lines.slice(0, from), ...lines.slice(to + 1)].join('\n');
};
