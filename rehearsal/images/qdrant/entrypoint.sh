#!/bin/bash
exec ./qdrant "$@"
