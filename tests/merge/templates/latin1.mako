## -*- coding: latin-1 -*-
# -*- coding: latin-1 -*-
"""${message}

Revision ID: ${up_revision}
Autor: Jürgen
"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    pass


def downgrade():
    pass
