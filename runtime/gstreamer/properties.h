// SPDX-License-Identifier: Apache-2.0
// The properties of the element: their specifications, and how they read and write the settings.
#pragma once

#include <glib-object.h>

#include "settings.h"

namespace ovss {

// Install them on the class, from number 1.
void install_properties(GObjectClass* klass);

// False for a property that is none of ours. The caller holds the object's lock.
bool set_property(Settings& settings, guint number, const GValue* value);
bool get_property(const Settings& settings, guint number, GValue* value);

}  // namespace ovss
