/** The board's own kernel, as the package and extlinux.conf name it. */
export const bootFiles = {
  image: '/boot/Image-fresnel-fourier',
  initramfs: '/boot/initramfs-fresnel-fourier.img',
  deviceTrees: '/boot/dtbs-fresnel-fourier',
  extlinux: '/boot/extlinux/extlinux.conf',
  /** The label in it that boots them. */
  label: 'fourier',
} as const;

/** The variable of U-Boot's environment that names the label to try once. */
export const trialVariable = 'ka_trial';
