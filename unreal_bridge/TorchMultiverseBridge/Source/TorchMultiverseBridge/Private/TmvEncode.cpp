#include "TmvEncode.h"

#include "IImageWrapper.h"
#include "IImageWrapperModule.h"
#include "Misc/Compression.h"
#include "Modules/ModuleManager.h"

#include <algorithm>

#include "TmvText.h"

namespace
{
	constexpr int32 JpegQuality = 95;
	// libwebrtc closes a data channel with more than 16 MiB in its queue.
	constexpr int64 MostBytes = 15ll << 20;

	std::string ToFile(const std::vector<uint8>& Pixels, int32 Width, int32 Height, ERGBFormat Format, int32 Bits, bool bJpeg)
	{
		IImageWrapperModule& Module = FModuleManager::GetModuleChecked<IImageWrapperModule>(TEXT("ImageWrapper"));
		const TSharedPtr<IImageWrapper> Wrapper = Module.CreateImageWrapper(bJpeg ? EImageFormat::JPEG : EImageFormat::PNG);
		if (!Wrapper.IsValid()
			|| !Wrapper->SetRaw(Pixels.data(), static_cast<int64>(Pixels.size()), Width, Height, Format, Bits))
		{
			return std::string();
		}
		const TArray64<uint8> File = Wrapper->GetCompressed(bJpeg ? JpegQuality : 0);
		return std::string(reinterpret_cast<const char*>(File.GetData()), static_cast<size_t>(File.Num()));
	}

	std::string Deflated(const std::vector<float>& Pixels)
	{
		const int32 Size = static_cast<int32>(Pixels.size() * sizeof(float));
		int32 Packed = FCompression::CompressMemoryBound(NAME_Zlib, Size);
		std::string Out(static_cast<size_t>(Packed), '\0');
		if (!FCompression::CompressMemory(NAME_Zlib, Out.data(), Packed, Pixels.data(), Size))
		{
			return std::string();
		}
		Out.resize(static_cast<size_t>(Packed));
		return Out;
	}

	const float* Floats(const FTmvReadback& Readback)
	{
		return reinterpret_cast<const float*>(Readback.Data().GetData());
	}

	bool IsWhole(const TSharedPtr<FTmvReadback, ESPMode::ThreadSafe>& Readback, int32 Width)
	{
		return Readback.IsValid() && Readback->Pitch() >= Width && Readback->Data().Num() > 0;
	}
}

void TmvEncode::Prepare()
{
	FModuleManager::LoadModuleChecked<IImageWrapperModule>(TEXT("ImageWrapper"));
}

FTmvFiles TmvEncode::Encode(const FTmvShot& Shot)
{
	FTmvFiles Out;
	std::vector<float> Depth;
	std::vector<uint8> Mask;
	const auto Wanted = [&Shot](const char* Name)
	{
		return std::find(Shot.Passes.begin(), Shot.Passes.end(), Name) != Shot.Passes.end();
	};
	if (IsWhole(Shot.Depth, Shot.Width))
	{
		Depth = tmv_ue::metres(Floats(*Shot.Depth), Shot.Width, Shot.Height, Shot.Depth->Pitch(), Shot.SkyFrom);
	}
	if ((Wanted("mask") || Wanted("class"))
		&& (!IsWhole(Shot.Mask, Shot.Width)
			|| !tmv_ue::instances(
				Floats(*Shot.Mask), Shot.Width, Shot.Height, Shot.Mask->Pitch(), Shot.MostCharacters, Mask)))
	{
		Out.Error = TEXT("mask: the stencil material wrote values that are no whole numbers; see the README's test 7");
		return Out;
	}
	for (const std::string& Pass : Shot.Passes)
	{
		std::string Bytes, Extension = "png";
		if (Pass == "rgb" && IsWhole(Shot.Rgb, Shot.Width))
		{
			const std::vector<uint8> Pixels =
				tmv_ue::opaque_bgra(Shot.Rgb->Data().GetData(), Shot.Width, Shot.Height, Shot.Rgb->Pitch());
			Extension = Shot.bJpeg ? "jpeg" : "png";
			Bytes = ToFile(Pixels, Shot.Width, Shot.Height, ERGBFormat::BGRA, 8, Shot.bJpeg);
		}
		else if (Pass == "mask")
		{
			Bytes = ToFile(Mask, Shot.Width, Shot.Height, ERGBFormat::Gray, 8, false);
		}
		else if (Pass == "class")
		{
			bool bWide = false;
			const std::vector<uint8> Numbers = tmv_ue::classes(Mask, Shot.Classes, bWide);
			Bytes = ToFile(Numbers, Shot.Width, Shot.Height, ERGBFormat::Gray, bWide ? 16 : 8, false);
		}
		else if (Pass == "depth" && !Depth.empty())
		{
			Extension = "tiff";
			Bytes = tmv_ue::tiff(Depth, Shot.Width, Shot.Height, Deflated(Depth));
		}
		else if (Pass == "normals" && !Depth.empty() && IsWhole(Shot.Normals, Shot.Width))
		{
			const std::vector<uint8> Pixels = tmv_ue::normals_bgra(
				Floats(*Shot.Normals), Shot.Width, Shot.Height, Shot.Normals->Pitch(), Shot.Camera, Depth);
			Bytes = ToFile(Pixels, Shot.Width, Shot.Height, ERGBFormat::BGRA, 8, false);
		}
		if (Bytes.empty())
		{
			Out.Error = FString::Printf(TEXT("%s: it could not be read back or encoded"), *TmvText::FromUtf8(Pass));
			return Out;
		}
		if (static_cast<int64>(Bytes.size()) > MostBytes)
		{
			Out.Error = FString::Printf(
				TEXT("%s: a file of %lld bytes; the data channel takes up to 15 MiB, so a smaller size is right"),
				*TmvText::FromUtf8(Pass), static_cast<long long>(Bytes.size()));
			return Out;
		}
		Out.Files.Add({Pass, Extension, MoveTemp(Bytes)});
	}
	return Out;
}
