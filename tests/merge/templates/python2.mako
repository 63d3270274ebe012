# -*- coding: utf-8 -*-
u'''${message}

Revision ID: ${up_revision}
Revises: ${down_revision}
Create Date: ${create_date}
'''

# revision identifiers, used by Alembic.
revision = '${up_revision}'
down_revision = ${repr(down_revision)}

from alembic import op


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
