# SPDX-FileCopyrightText: Copyright (c) 2026 the porter authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0

"""Command line of classification_pyt."""

import argparse

from nvidia_tao_pytorch.core.entrypoint import command_line_parser, get_subtasks, launch
from nvidia_tao_pytorch.cv.classification_pyt import scripts


def get_subtask_list():
    return get_subtasks(scripts)


def main():
    parser = argparse.ArgumentParser("classification_pyt", description="Image classification")
    subtasks = get_subtask_list()
    args, unknown_args = command_line_parser(parser, subtasks)
    launch(vars(args), unknown_args, subtasks, network="classification_pyt")


if __name__ == "__main__":
    main()
