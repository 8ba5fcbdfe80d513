"""Label maps in the forms that other tools read: COCO RLE, GeoJSON, LabelMe, colors."""
