"""``python -m joint_seg_cls`` is equivalent to ``jsc``."""

from joint_seg_cls.cli.main import main

if __name__ == "__main__":
    main()
