"""Facts about hands and cameras, shared by geocongan, regnet and tracker.

Conventions, everywhere:
- Joints: W, T0..T3, I0..I3, M0..M3, R0..R3, L0..L3 (wrist, then thumb to little finger, base to tip), indices 0..20.
- Millimetres, pixels, radians, seconds, told by suffix: joints_mm, joints_px, angles_rad, time_s. Batch axes lead, coordinates come last.
- Camera axes: x right, y down, z forward. Pixel (0, 0) is the centre of the top-left pixel. Pictures are RGB uint8 (H, W, 3).
- Transforms are named so that neighbours cancel: camera_from_wrist @ wrist_from_joint.
- Wrist frame of the left hand: origin W, +y to M0, +z out of the palm, thumb at -x. A right hand is its mirror image with equal angles;
  its frame is again right-handed, with the thumb at +x. Zero angles are the flat open hand; flexion is positive towards the palm,
  abduction towards the thumb's side.
- Networks see left hands: right ones are mirrored in, and the answer is mirrored out.
- Relative 3D: origin M0, unit |W-M0|, in the axes of the crop's virtual camera; RegNet itself is taught, and gives, that of a camera which
  looks straight at the hand, turned as the crop is.
"""

from handpose.compiled_cache import use_own_cache

use_own_cache()
