"""A board that several people share: results merged, conflicts told, cells packed into archives to be sent."""
